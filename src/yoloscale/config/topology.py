"""A run that goes on elsewhere: which settings may change, and what it is frozen with then. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from enum import Enum
from typing import Any

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.keys import FREE
from yoloscale.config.plan import planned_ranks
from yoloscale.config.resolve import adopt, resolve
from yoloscale.config.schema import ClusterConfig, Config, Device, Launcher
from yoloscale.config.slurm import SlurmConfig

_NO_DIFFERENCE = ("name", "paths.", "sweep.", "cluster.planned_ranks")  # the machine's, the sweep's, and our own
_ID = "id"  # of the run, whatever it is configured as
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

    `cluster=GROUP` puts that group in place of all settings. Raises ConfigError that lists what may not change. Not
    validated.
    """
    from yoloscale.config.compose import assignments, compose

    given = assignments(tokens)
    if problems := [_fixed(key, value) for key, value in given if not _says_where(key, value)]:
        raise ConfigError(problems)
    if any(key == "cluster" for key, _ in given):
        cluster = compose(tokens).cluster
    else:
        cluster = _with_values(frozen.cluster, {key.removeprefix("cluster."): value for key, value in given})
    return moved(frozen, resolve(adopt(replace(frozen, cluster=cluster), frozen)))


def _with_values(frozen: ClusterConfig, typed: Mapping[str, Any]) -> ClusterConfig:
    """A cluster section with values by their keys below `cluster`; those of free mappings come beside what is there."""
    cluster = _left_open(frozen, typed)
    for key, value in typed.items():
        name, _, inner = key.partition(".")
        if inner:
            mapping = {**getattr(cluster, name), inner: value}
            value = {known: kept for known, kept in mapping.items() if kept is not None}
        cluster = replace(cluster, **{name: value})
    return cluster


def _left_open(frozen: ClusterConfig, typed: Mapping[str, Any]) -> ClusterConfig:
    """What a run goes on with where nothing is typed: as it is frozen, as far as that makes sense beside what is."""
    open_now = dict[str, Any](device=Device.auto, procs_per_node=None, gpus=None, backend=None)
    if frozen.launcher is Launcher.slurm and typed.get("launcher") is Launcher.local:
        blank = ClusterConfig()
        asked_of_slurm = [field.name for field in fields(SlurmConfig)]
        open_now |= {name: getattr(blank, name) for name in (*asked_of_slurm, "nodes", "time")}
    if typed.get("nodes", open_now.get("nodes")) == 1:
        open_now |= {"rdzv_endpoint": None, "min_nodes": None}  # they are for several
    return replace(frozen, **open_now)


def differences(old: Config, new: Config) -> list[tuple[str, str, str]]:
    """Keys whose values differ, with both values as JSON; a key that only one of them has is null in the other.

    A task still to be read from the weights is no difference, nor are the id and the planned ranks, which nobody types.
    """
    before, after = dict(_flat(asdict(old))), dict(_flat(asdict(new)))
    found = []
    for key in sorted(before.keys() | after.keys()):
        old_value, new_value = before.get(key, "null"), after.get(key, "null")
        if old_value == new_value or key == _ID or key.startswith(_NO_DIFFERENCE):
            continue
        if key == "model.task" and new.model.task is None:
            continue
        found.append((key, old_value, new_value))
    return found


def _says_where(key: str, value: object) -> bool:
    if key == "cluster":
        return isinstance(value, str)
    if key.startswith(FREE):
        return True
    names = {field.name for field in fields(ClusterConfig)} - {*KEPT, "planned_ranks"}
    return key.startswith("cluster.") and key.removeprefix("cluster.") in names


def _fixed(key: str, value: object) -> Problem:
    found = "null" if value is None else f"{value}"
    return Problem(
        key, found, "a run goes on as it was configured, only on other ranks: to train otherwise, give a new name="
    )


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            plain = value.value if isinstance(value, Enum) else value
            yield f"{prefix}{key}", json.dumps(plain, default=str, ensure_ascii=False)
