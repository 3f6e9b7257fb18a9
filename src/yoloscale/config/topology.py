"""A run that goes on elsewhere: which settings may change, and what it is frozen with then. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.plan import planned_ranks
from yoloscale.config.resolve import adopt, resolve
from yoloscale.config.schema import ClusterConfig, Config, Device

KEPT = ("exact_reduce", "sync_bn")  # of the cluster group: these change numbers, all others say where


def moved(frozen: Config, wanted: Config) -> Config:
    """A frozen config with all that a resolved one may change about it: where it runs.

    Mixed precision that was left to the device (`amp=true`) is what the CPU has for it, where a run moves to CPUs.
    """
    kept = {name: getattr(frozen.cluster, name) for name in KEPT}
    cluster = replace(wanted.cluster, **kept, planned_ranks=planned_ranks(frozen))
    moves_to_cpu = wanted.cluster.device is Device.cpu and frozen.cluster.device is not Device.cpu
    return replace(frozen, cluster=cluster, amp=wanted.amp if moves_to_cpu and frozen.amp is True else frozen.amp)


def changed(frozen: Config, tokens: Sequence[str]) -> Config:
    """A frozen config with what a person typed to go on elsewhere, in the grammar of `train`; resolved.

    Raises ConfigError that lists what may not change. Not validated.
    """
    from yoloscale.config.compose import assignments

    given = assignments(tokens)
    if problems := [_fixed(key, value) for key, value in given if not _says_where(key)]:
        raise ConfigError(problems)
    values = {key.removeprefix("cluster."): value for key, value in given}
    cluster = replace(frozen.cluster, device=Device.auto, procs_per_node=None, gpus=None, backend=None)
    if values.get("nodes") == 1:
        cluster.rdzv_endpoint = cluster.min_nodes = None  # they are for several
    wanted = replace(frozen, cluster=replace(cluster, **values))
    return moved(frozen, resolve(adopt(wanted, frozen)))


def _says_where(key: str) -> bool:
    names = {field.name for field in fields(ClusterConfig)} - {*KEPT, "planned_ranks"}
    return key.startswith("cluster.") and key.removeprefix("cluster.") in names


def _fixed(key: str, value: object) -> Problem:
    found = "null" if value is None else f"{value}"
    if key == "cluster":
        return Problem(key, found, "write its settings one by one: cluster.nodes=… cluster.procs_per_node=…")
    return Problem(
        key, found, "a run goes on as it was configured, only on other ranks: to train otherwise, give a new name="
    )
