"""A run that goes on elsewhere or otherwise: what it is frozen with then, and what differs between two.

Pure, but for a dataset's path with a `$` in it, of which it is asked whether there is such a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from enum import Enum
from typing import Any, TypeVar

from yoloscale.config.node_paths import is_checked_later
from yoloscale.config.plan import is_automatic, planned_ranks
from yoloscale.config.resuming import ASKED, AUGMENTATIONS, FREE, FREE_GROUPS, FREE_OF_INFERENCE, Done, is_asked
from yoloscale.config.schema import Config, Device, OriginConfig, PredictConfig, RunConfig, ValConfig

# the machine's, the sweep's, and our own
_NO_DIFFERENCE = ("name", "paths.", "sweep.", "cluster.planned_ranks", "origin.")
_DECIDED_LATER = ("model.task", "predict.unit")
KEPT_BY_INFERENCE = ("device", "threads")
KEPT = ("exact_reduce", "sync_bn")  # of the cluster group: these change numbers, all others say where
_RENDERED = ("shapes", "trees")

_Inference = TypeVar("_Inference", bound=PredictConfig | ValConfig)


def moved_inference(frozen: _Inference, target: RunConfig) -> _Inference:
    """The frozen config of a run that predicts or evaluates, with all that a resolved one may change about it.

    The bits of a result depend on the kind of device and, on CPUs, on the threads of a rank, so those stay. Weights may
    lie elsewhere: whether they are the same is told by their digests.
    """
    kept = {name: getattr(frozen.cluster, name) for name in (*KEPT, *KEPT_BY_INFERENCE)}
    cluster = replace(target.cluster, **kept, planned_ranks=planned_ranks(frozen))
    paths = replace(target.paths, runs=frozen.paths.runs)
    model = replace(target.model, task=frozen.model.task)
    config = replace(frozen, cluster=cluster, paths=paths, model=model, logger=target.logger, debug=target.debug)
    if frozen.kind != target.kind:
        return config
    for key in FREE_OF_INFERENCE[frozen.kind]:
        group, _, name = key.rpartition(".")
        if not group:
            config = replace(config, **{name: getattr(target, name)})
        else:
            section = replace(getattr(config, group), **{name: getattr(getattr(target, group), name)})
            config = replace(config, **{group: section})
    return config


def moved(frozen: Config, target: Config, done: Done | None = None) -> Config:
    """A frozen config with all that a resolved one may change about it: where it runs, and what changes no training.

    `done`, for who asks by `resume`: what changes its length is taken, too (config/resuming.py), and data elsewhere
    that nobody can compare, whose fingerprint is None then. Mixed precision that was left to the device (`amp=true`) is
    what the CPU has for it, where a run moves to CPUs.
    """
    kept = {name: getattr(frozen.cluster, name) for name in KEPT}
    cluster = replace(target.cluster, **kept, planned_ranks=planned_ranks(frozen))
    moves_to_cpu = target.cluster.device is Device.cpu and frozen.cluster.device is not Device.cpu
    amp = target.amp if moves_to_cpu and frozen.amp is True else frozen.amp
    free: dict[str, Any] = {name: getattr(target, name) for name in (*FREE, *FREE_GROUPS)}
    free["paths"] = replace(target.paths, runs=frozen.paths.runs)
    model = replace(frozen.model, allow_pickle=target.model.allow_pickle)
    origin = frozen.origin
    if is_same_dataset(frozen, target, is_asked=done is not None):
        free["data"] = target.data
        # another place is read from where it is typed, and has a fingerprint of its own
        own = origin if is_same_place(frozen, target) else OriginConfig()
        folder, looked_at = target.origin.folder or own.folder, target.origin if target.origin.dataset else own
        opened = None if is_checked_later(target) else looked_at.opened  # each node has its own
        origin = replace(origin, folder=folder, dataset=looked_at.dataset, opened=opened)
    config = replace(frozen, cluster=cluster, amp=amp, model=model, origin=origin, **free)
    return config if done is None else _prolonged(config, target, done)


def is_same_dataset(frozen: Config, target: Config, *, is_asked: bool) -> bool:
    """Whether two configs name one dataset; it may lie elsewhere.

    Where it cannot be compared, as it was not looked at or is not to be, it is the same if it `is_asked` for by name.
    Before it is looked at it may be the same: it is asked again then.
    """
    if is_same_place(frozen, target):
        return True
    if frozen.data.source in _RENDERED or target.data.source in _RENDERED:
        return False
    digests = frozen.origin.dataset, target.origin.dataset
    if None not in digests:
        return digests[0] == digests[1]
    return is_asked or (frozen.origin.dataset is not None and not is_checked_later(target))


def is_same_place(frozen: Config, target: Config) -> bool:
    """Whether the dataset of two configs is read from the same path."""
    return replace(frozen.data, name=target.data.name, check=target.data.check) == target.data


def _prolonged(config: Config, target: Config, done: Done) -> Config:
    """The config with what may be asked for, and with what was planned put down."""
    changes = {key: getattr(target, key) for key in (*ASKED, AUGMENTATIONS) if is_asked(key, config, target)}
    origin = config.origin
    if is_automatic(changes["batch"]):
        changes["batch"] = config.batch
    elif changes["batch"] != config.batch:
        planned = origin.batch or (done.batch if is_automatic(config.batch) else int(config.batch))
        origin = replace(origin, batch=planned if planned != changes["batch"] else None)
    if (epochs := changes.get("epochs", config.epochs)) != config.epochs:
        planned = origin.epochs or config.epochs
        origin = replace(origin, epochs=planned if planned != epochs else None, epochs_done=done.epochs)
    if changes.get("time", config.time) != config.time:
        origin = replace(origin, epochs_done=done.epochs)
    return replace(config, **changes, origin=origin)


def differences(old: RunConfig, new: RunConfig) -> list[tuple[str, str, str]]:
    """Keys whose values differ, with both values as JSON; a key that only one of them has is null in the other.

    Two kinds of run differ in their `kind`, and nothing else of them is compared.

    What is still to be read from the weights or decided by the images is no difference, nor are the id and the planned
    ranks, which nobody types.
    """
    if old.kind != new.kind:
        return [("kind", json.dumps(old.kind), json.dumps(new.kind))]
    before, after = dict(_flat(asdict(old))), dict(_flat(asdict(new)))
    values = [(key, before.get(key, "null"), after.get(key, "null")) for key in sorted(before.keys() | after.keys())]
    return [
        (key, old_value, new_value)
        for key, old_value, new_value in values
        if old_value != new_value
        and key != "id"
        and not key.startswith(_NO_DIFFERENCE)
        and not (key in _DECIDED_LATER and new_value == "null")
    ]


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            plain = value.value if isinstance(value, Enum) else value
            yield f"{prefix}{key}", json.dumps(plain, default=str, ensure_ascii=False)
