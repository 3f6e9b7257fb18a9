"""From points to configs that can be run: composed, resolved, validated and compared, all problems at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from yoloscale.config.compose_each import compose_each
from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.freeze import load_own
from yoloscale.config.machine import Machine, this_machine
from yoloscale.config.resolve import adopt, resolve
from yoloscale.config.schema import Config
from yoloscale.config.topology import differences
from yoloscale.config.validate import validate
from yoloscale.launch.claim import default_name
from yoloscale.launch.configure import task_of, typed_ranks
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep
from yoloscale.sweep.names import folder_names
from yoloscale.sweep.points import Point
from yoloscale.sweep.problems import gathered

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class ConfiguredPoint:
    """A point with its folder's name; its config as typed (`composed`), and with what the machine decides filled in."""

    point: Point
    name: str
    composed: Config
    config: Config


@dataclass(frozen=True)
class ConfiguredSweep:
    """The points of a sweep, and where it lies; without a name it takes the first folder that is free."""

    folder: Path  # `paths.runs`
    name: str | None
    points: tuple[ConfiguredPoint, ...]
    machine: Machine

    @property
    def first(self) -> Config:
        """The config of the first point: what all have in common (the cluster, the paths) can be read from it."""
        return self.points[0].config

    @property
    def default_name(self) -> str:
        """`<model>-<dataset>-sweep`, less what the points differ in."""
        models = {each.composed.model.name for each in self.points}
        datasets = {each.composed.data.name for each in self.points}
        model = "".join(models) if len(models) == 1 else ""
        dataset = "".join(datasets) if len(datasets) == 1 else ""
        first = self.points[0].composed
        said = replace(first, model=replace(first.model, name=model), data=replace(first.data, name=dataset))
        return f"{default_name(said)}-sweep" if model or dataset else "sweep"

    def directory(self, name: str) -> SweepDirectory:
        """Where a sweep of this name lies."""
        return SweepDirectory(self.folder / name)


def configure_all(points: Sequence[Point], machine: Machine | None = None) -> ConfiguredSweep:
    """Compose, resolve and validate every point. Raises ConfigError with the problems of all of them.

    What is left open is decided by this machine, or, if there is a sweep of that name, as it was when that was frozen.
    """
    machine, names = machine or this_machine(), folder_names(points)
    found = compose_each([point.tokens for point in points], task_of)
    composed = [config for config in found if isinstance(config, Config)]
    if len(composed) < len(found):
        raise ConfigError(gathered([_problems(config) for config in found], names))
    folder = Path(_common(composed, "paths.runs", lambda config: config.paths.runs)).expanduser().absolute()
    name = _common(composed, "name", lambda config: config.name)
    goes_on = name is not None and is_sweep(folder / name)
    configured = []
    for point, folder_name, config in zip(points, names, composed, strict=True):
        frozen = _frozen(folder / str(name) / folder_name) if goes_on else None
        configured.append(ConfiguredPoint(point, folder_name, config, resolved(config, frozen, machine)))
    found_problems = [[*typed_ranks(each.composed), *validate(each.config, machine)] for each in configured]
    if problems := gathered(found_problems, names) or [*_other_clusters(configured), *_same(configured)]:
        raise ConfigError(problems)
    return ConfiguredSweep(folder, name, tuple(configured), machine)


def resolved(composed: Config, frozen: Config | None, machine: Machine) -> Config:
    """A composed config with what it leaves open filled in: as its run was frozen, if it was, else by the machine."""
    return resolve(composed if frozen is None else adopt(composed, frozen), machine)


def _frozen(folder: Path) -> Config | None:
    path = RunDirectory(folder).config
    return load_own(path) if path.exists() else None


def _problems(found: Config | ConfigError) -> Sequence[Problem]:
    return found.problems if isinstance(found, ConfigError) else ()


def _common(configs: Sequence[Config], key: str, value: Callable[[Config], _Value]) -> _Value:
    values = dict.fromkeys(map(value, configs))
    if len(values) > 1:
        shown = ", ".join(map(repr, list(values)[:3]))
        raise ConfigError(Problem(key, f"{shown}: the points differ in it", "give all points of a sweep the same one"))
    return next(iter(values))


def _other_clusters(points: Sequence[ConfiguredPoint]) -> list[Problem]:
    """Settings of the cluster group that recipes or interpolations gave to some points only."""
    first = points[0]
    for each in points[1:]:
        if each.composed.cluster == first.composed.cluster:
            continue
        like_first = replace(each.composed, cluster=first.composed.cluster)
        key, there, here = differences(like_first, each.composed)[0]
        instead = "give it one value: all points are one job array, which has one shape; start a sweep for each"
        return [Problem(key, f"{there} in point {first.name}, {here} in point {each.name}", instead)]
    return []


def _same(points: Sequence[ConfiguredPoint]) -> list[Problem]:
    """Points that would train the same thing twice."""
    alike = defaultdict[str, list[ConfiguredPoint]](list)
    for each in points:
        alike[repr(each.config)].append(each)
    found = []
    for one, other, *_ in (same for same in alike.values() if len(same) > 1):
        typed = " ".join(choice.token for choice in other.point.swept)
        said = " ".join(choice.token for choice in one.point.swept)
        found.append(Problem("--multirun", f"{typed} is the same run as {said}", "leave one of them out"))
    return found[:3]
