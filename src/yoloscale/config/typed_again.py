"""What is typed to go on with a run, put onto the config that it was frozen with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from yoloscale.config.check.service_variables import with_variables
from yoloscale.config.keys import switched_on
from yoloscale.config.launchers import LOCAL
from yoloscale.config.quoting import quote
from yoloscale.config.resolve import adopt, resolve
from yoloscale.config.resuming import ASKED, FREE_GROUPS, Done
from yoloscale.config.schema import ClusterConfig, Config, Device, OriginConfig, PredictConfig, RunConfig, ValConfig
from yoloscale.config.schema.slurm import SlurmConfig
from yoloscale.config.topology import KEPT, differences, moved, moved_inference
from yoloscale.errors import ConfigError, Problem

_SECTIONS = ("cluster", "data", "model", *FREE_GROUPS)  # a group that is named takes the place of all its settings
_NEVER = {
    "name": "leave it out: a run keeps its name",
    "experiment": "write the keys that are to change, not a recipe",
    "sweep": "leave it out: it is for `train -m`",
    "trial": "leave it out: a search writes it",
    "origin": "leave it out: what a run's first start found is put down by itself",
    "id": "leave it out: a run keeps its own",
    "cluster.planned_ranks": "leave it out: the ranks of a run's first start are put down by itself",
}


_Run = TypeVar("_Run", bound=RunConfig)


def changed(frozen: _Run, tokens: Sequence[str], anew: Callable[[], str], done: Done) -> _Run:
    """A frozen config with what a person typed to go on with, in the grammar of `train`; resolved.

    Raises ConfigError that lists what may not change, with what `anew` gives: the end of a sentence, and the command
    that starts another run. Not validated.
    """
    from yoloscale.config.compose.flags import split
    from yoloscale.config.compose.hydra import assignments, compose_run

    line = split(tokens, kind=frozen.kind)
    assigned = assignments(line)
    if problems := [problem for key, value in assigned if (problem := _never(frozen, key, value)) is not None]:
        raise ConfigError(problems)
    groups = [key for key, value in assigned if key in _SECTIONS and isinstance(value, (str, list))]
    target = frozen
    if groups:  # a path has the variables of the node where the run is a job
        is_placed = "cluster" in groups or "cluster.launcher" in dict(assigned)
        here = () if is_placed else (f"cluster.launcher={frozen.cluster.launcher}",)
        composed = compose_run(replace(line, tokens=(*line.tokens, *here, *_needed(frozen, groups))))
        target = replace(frozen, **{group: getattr(composed, group) for group in groups})
        kept = [name for name in KEPT if f"cluster.{name}" not in dict(assigned)]
        target.cluster = replace(target.cluster, **{name: getattr(frozen.cluster, name) for name in kept})
    leaves = {key: value for key, value in assigned if key.partition(".")[0] not in groups}
    if "cluster" not in groups:
        of_cluster = {key: value for key, value in leaves.items() if key.startswith("cluster.")}
        typed = {key.removeprefix("cluster."): value for key, value in of_cluster.items()}
        target = replace(target, cluster=_with_values(frozen, typed))
    for key, value in leaves.items():
        if not key.startswith("cluster."):
            target = _with_leaf(target, key, value)
    if "logger" in groups:
        target = with_variables(target, frozen)
    target = _anchored(target, frozen)
    if not isinstance(frozen, Config) or not isinstance(target, Config):
        return _changed_inference(frozen, target, anew)
    target = adopt(replace(target, origin=OriginConfig()), frozen)
    there = resolve(target)
    config = moved(frozen, there, done)
    # what resolving fills in is no wish of the person's
    target = replace(target, cluster=there.cluster, amp=target.amp if "amp" in leaves else config.amp)
    if problems := _fixed(frozen, config, target, anew):
        raise ConfigError(problems)
    return cast("_Run", config)


def _needed(frozen: RunConfig, groups: Sequence[str]) -> list[str]:
    """What a config of the kind is not composed without, of what is not typed: its weights, and its images."""
    if isinstance(frozen, Config):
        return []
    needed: dict[str, Any] = (
        {} if "model" in groups else {"model.weights": frozen.model.weights, "model.name": frozen.model.name}
    )
    if isinstance(frozen, PredictConfig):
        needed["source"] = frozen.source
    elif isinstance(frozen, ValConfig) and "data" not in groups:
        needed |= {"data.source": frozen.data.source, "data.name": frozen.data.name}
    return [f"{key}={quote(value)}" for key, value in needed.items()]


def _changed_inference(frozen: _Run, target: _Run, anew: Callable[[], str]) -> _Run:
    """The same for a run that predicts or evaluates, whose `target` is not resolved yet."""
    there = resolve(target)
    assert isinstance(frozen, (PredictConfig, ValConfig)), "all other kinds train"
    config = moved_inference(frozen, there)
    if problems := _fixed(frozen, config, there, anew):
        raise ConfigError(problems)
    return cast("_Run", config)


def _never(frozen: RunConfig, key: str, value: object) -> Problem | None:
    if key in _SECTIONS and value is None:
        return Problem(f"~{key}", "a group that is taken out", f"write {key}=GROUP, or what is to change below it")
    name = key if key in _NEVER else key.partition(".")[0]
    if name not in _NEVER or value is None or (name == "name" and value == frozen.name):
        return None
    return Problem(key, f"{value}", _NEVER[name])


def _with_leaf(config: Any, key: str, value: Any, whole: str | None = None) -> Any:
    """A config, or a group of it, with one value put in. Raises ConfigError below a group that is not switched on."""
    name, _, inner = key.partition(".")
    if not inner:
        return replace(config, **{name: value})
    whole = whole or key
    group = getattr(config, name)
    if group is None:
        above = whole.removesuffix(f".{inner}")
        raise ConfigError(Problem(whole, f"{value}, but {above} is not switched on", switched_on(above)))
    if not dataclasses.is_dataclass(group):
        return replace(config, **{name: {**group, inner: value}})
    return replace(config, **{name: _with_leaf(group, inner, value, whole)})


def _anchored(config: _Run, frozen: _Run) -> _Run:
    """With the paths that are typed as they are from here, whatever folder the run was started in."""
    cache, weights = config.paths.cache, config.model.weights
    if isinstance(config, (Config, ValConfig)) and isinstance(frozen, (Config, ValConfig)):
        source = config.data.source
        if source != frozen.data.source and len(Path(source).parts) > 1 and Path(source).exists():
            config = replace(config, data=replace(config.data, source=str(Path(source).absolute())))
    is_finished = not isinstance(config, Config) and weights is not None and weights != frozen.model.weights
    if is_finished and Path(str(weights)).exists():
        config = replace(config, model=replace(config.model, weights=str(Path(str(weights)).absolute())))
    if cache is not None and cache != frozen.paths.cache:
        config = replace(config, paths=replace(config.paths, cache=str(Path(cache).expanduser().absolute())))
    return config


def _fixed(frozen: RunConfig, config: RunConfig, target: RunConfig, anew: Callable[[], str]) -> list[Problem]:
    """What is wanted and does not go with the state that a run would go on from; data as one problem."""
    different = differences(config, target)
    changes = [change for change in different if not change[0].startswith("data.")]
    if len(changes) < len(different):
        assert isinstance(frozen, (Config, ValConfig)), "others have no data"
        assert isinstance(target, (Config, ValConfig)), "others have no data"
        changes.append(("data", frozen.data.source, target.data.source))
    if not changes:
        return []
    why = "a run goes on as it was configured, as the state that it goes on from was made by that"
    if not isinstance(frozen, Config):
        why = "a run goes on as it was configured, as what is there of its results was made by that"
    of_search = "a run of a search is compared with the others, which are as long"
    is_searched = isinstance(frozen, Config) and frozen.trial is not None
    reasons = {key: of_search if key in ASKED and is_searched else why for key, *_ in changes}
    instead = f"leave it out, or {anew()}"
    return [Problem(key, f"{new} instead of {old}", f"{reasons[key]}: {instead}") for key, old, new in changes]


def _with_values(frozen: RunConfig, typed: Mapping[str, Any]) -> ClusterConfig:
    """A cluster section with values by their keys below `cluster`; those of free mappings come beside what is there."""
    cluster = _left_open(frozen, typed)
    for key, value in typed.items():
        name, _, inner = key.partition(".")
        if inner:
            mapping = {**getattr(cluster, name), inner: value}
            value = {entry: text for entry, text in mapping.items() if text is not None}
        cluster = replace(cluster, **{name: value})
    return cluster


def _left_open(frozen: RunConfig, typed: Mapping[str, Any]) -> ClusterConfig:
    """What a run goes on with where nothing is typed: as it is frozen, as far as that makes sense beside what is."""
    cluster = frozen.cluster
    open_now = dict[str, Any](device=Device.auto, procs_per_node=None, gpus=None, backend=None)
    if not isinstance(frozen, Config):  # its bits depend on the device
        open_now |= {"device": cluster.device, "backend": cluster.backend}
    if not cluster.is_here and typed.get("launcher") == LOCAL:
        blank = ClusterConfig()
        asked_of_slurm = [field.name for field in fields(SlurmConfig)]
        open_now |= {name: getattr(blank, name) for name in (*asked_of_slurm, "nodes", "time")}
    if typed.get("nodes", open_now.get("nodes")) == 1:
        open_now |= {"rdzv_endpoint": None, "min_nodes": None}  # they are for several
    return replace(cluster, **open_now)
