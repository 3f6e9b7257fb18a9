"""From points to configs that can be run: composed, resolved, validated and compared, all problems at once."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

from yoloscale.backends import registry
from yoloscale.backends.check import validate
from yoloscale.config import node_paths
from yoloscale.config.check.logger import logger_problems
from yoloscale.config.check.service_variables import unread, with_variables
from yoloscale.config.compose.many import compose_each
from yoloscale.config.freeze import Sections, load_own
from yoloscale.config.resolve import adopt, resolve
from yoloscale.config.schema import ClusterConfig, Config, Device, LoggerConfig
from yoloscale.config.schema.sweep import SweepConfig
from yoloscale.config.topology import differences
from yoloscale.datasets.ultralytics_settings import unheld
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.configure import never_typed, task_of, typed_keys
from yoloscale.launch.run_folder import default_name
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep
from yoloscale.sweep.effects import same_training, say_remarks
from yoloscale.sweep.grammar.names import folder_names
from yoloscale.sweep.grammar.points import Point
from yoloscale.sweep.problems import all_right, gathered
from yoloscale.sweep.slots import Slots, plan_slots
from yoloscale.sweep.unfinished import unfinished
from yoloscale.system.machine import Machine, this_machine
from yoloscale.system.remarks import Say, once, silent
from yoloscale.system.variables import VISIBLE_GPUS

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
        first = self.points[0].composed
        model = first.model.name if len({each.composed.model.name for each in self.points}) == 1 else ""
        dataset = first.data.name if len({each.composed.data.name for each in self.points}) == 1 else ""
        common = replace(first, model=replace(first.model, name=model), data=replace(first.data, name=dataset))
        return f"{default_name(common)}-sweep" if model or dataset else "sweep"

    @property
    def slots(self) -> Slots:
        """How many points train at a time on this machine. Raises ConfigError as `plan_slots` does."""
        cluster = replace(self.first.cluster, gpus=self.points[0].composed.cluster.gpus)
        visible = os.environ.get(VISIBLE_GPUS)
        return plan_slots(cluster, self.machine, parallel=self.first.sweep.parallel, visible=visible)

    def directory(self, name: str) -> SweepDirectory:
        """Where a sweep of this name lies."""
        return SweepDirectory(self.folder / name)


def configure_all(
    points: Sequence[Point], machine: Machine | None = None, say: Say = silent, *, are_probes: bool = False
) -> ConfiguredSweep:
    """Compose, resolve and validate every point. Raises ConfigError with the problems of all of them.

    What is left open is decided by this machine, or, if there is a sweep of that name, as it was when that was frozen.
    `say` gets each remark once. Probes of a search may train the same, and are not what is submitted.
    """
    machine, names, say = machine or this_machine(), folder_names(points), once(say)
    composed = all_right(compose_each([point.tokens for point in points], task_of, say), names)
    folder = Path(_common(composed, "paths.runs", lambda config: config.paths.runs)).expanduser().absolute()
    name = _common(composed, "name", lambda config: config.name)
    first = composed[0]
    for line in [*unread(first, in_sweep=True), *unheld(first), *node_paths.remarks(first)]:
        say(line)
    goes_on = name is not None and is_sweep(folder / name)
    configured, sections = [], Sections()
    for point, folder_name, config in zip(points, names, composed, strict=True):
        path = RunDirectory(folder / str(name) / folder_name).config
        frozen = load_own(path, sections) if goes_on and path.exists() else None
        configured.append(ConfiguredPoint(point, folder_name, config, resolved(config, frozen, machine)))
    of_logger = _of_loggers()
    of_points = [[*never_typed(each.composed), *validate(each.config, machine, of_logger)] for each in configured]
    problems = list(_settings(first.sweep, first.cluster))
    if not are_probes:
        problems += _site(configured, SweepDirectory(folder / str(name)) if goes_on else None, say)
    problems += gathered(of_points, names)
    problems = problems or [*_other_clusters(configured), *_same(configured)]
    if not problems and not goes_on and not are_probes:  # what an earlier version began goes on
        problems = same_training([each.config for each in configured], names)
    if problems:
        raise ConfigError(problems)
    swept = {choice.key for point in points for choice in point.swept}
    typed = {key for point in points for key in typed_keys(point.tokens)}
    say_remarks((each.config for each in configured), swept, typed, say)
    sweep = ConfiguredSweep(folder, name, tuple(configured), machine)
    if sweep.first.cluster.is_here:
        _ = sweep.slots
    return sweep


def resolved(composed: Config, frozen: Config | None, machine: Machine) -> Config:
    """A composed config with what it leaves open filled in: as its run was frozen, if it was, else by the machine.

    Which GPUs a point has on this machine is decided when it starts, among those that the sweep has.
    """
    backend = registry.of(composed.cluster)
    composed = composed if backend is None else backend.complete(composed)
    composed = with_variables(composed, frozen, in_sweep=True)
    config = resolve(composed if frozen is None else adopt(_as_rounded_in(frozen, composed), frozen), machine)
    if config.cluster.is_here and config.cluster.device is Device.cuda:
        config = replace(config, cluster=replace(config.cluster, gpus=None))
    return config


def _as_rounded_in(frozen: Config, composed: Config) -> Config:
    """The config with floats as frozen where rounding is all that differs: ranges were counted in binary fractions."""
    pairs = [(field.name, getattr(frozen, field.name), getattr(composed, field.name)) for field in fields(composed)]
    return replace(composed, **{name: old for name, old, new in pairs if _is_rounded(old, new)})


def _is_rounded(old: object, new: object) -> bool:
    return isinstance(old, float) and isinstance(new, float) and old != new and f"{old:.12g}" == f"{new:.12g}"


def _settings(sweep: SweepConfig, cluster: ClusterConfig) -> Iterator[Problem]:
    """Problems of what is said of the sweep as a whole."""
    if not cluster.is_here and sweep.parallel is not None:
        found = f"{sweep.parallel} with cluster.launcher={cluster.launcher}"
        yield Problem("sweep.parallel", found, f"write cluster.array_parallelism={sweep.parallel}")
    if cluster.is_here and cluster.nodes > 1:
        instead = "write cluster=slurm, or start one run after the other"
        yield Problem("cluster.nodes", f"{cluster.nodes} for points on this machine", instead)
    if sweep.max_failures is not None and sweep.max_failures < 1:
        yield Problem("sweep.max_failures", f"{sweep.max_failures}", "write at least 1, or leave it out")


def _of_loggers() -> Callable[[LoggerConfig], list[Problem]]:
    """`logger_problems`, asked once of each group: most points have the same."""
    problems = dict[str, list[Problem]]()

    def of_logger(logger: LoggerConfig) -> list[Problem]:
        if (key := repr(logger)) not in problems:
            problems[key] = logger_problems(logger)
        return problems[key]

    return of_logger


def _site(points: Sequence[ConfiguredPoint], begun: SweepDirectory | None, say: Say) -> list[Problem]:
    """What the site says of the points that would be submitted: of a sweep that was begun, those that are left."""
    first = points[0].config
    backend = registry.of(first.cluster)
    if backend is None:
        return []
    return backend.check_site(first, say, points=len(points) if begun is None else len(unfinished(begun)))


def _common(configs: Sequence[Config], key: str, value: Callable[[Config], _Value]) -> _Value:
    values = dict.fromkeys(map(value, configs))
    if len(values) > 1:
        found = f"{', '.join(map(repr, list(values)[:3]))}: the points differ in it"
        raise ConfigError(Problem(key, found, "give all points of a sweep the same one"))
    return next(iter(values))


def _other_clusters(points: Sequence[ConfiguredPoint]) -> list[Problem]:
    """Settings of the cluster group that recipes or interpolations gave to some points only."""
    first = points[0]
    for each in (each for each in points[1:] if each.composed.cluster != first.composed.cluster):
        like_first = replace(each.composed, cluster=first.composed.cluster)
        key, there, here = differences(like_first, each.composed)[0]
        instead = "give it one value: all points run in the same way, on SLURM as one job array; start a sweep for each"
        return [Problem(key, f"{there} in point {first.name}, {here} in point {each.name}", instead)]
    return []


def _same(points: Sequence[ConfiguredPoint]) -> list[Problem]:
    """Points that would train the same thing twice."""
    alike = defaultdict[str, list[ConfiguredPoint]](list)
    for each in points:
        alike[repr(each.config)].append(each)
    words = [[" ".join(choice.token for choice in each.point.swept) for each in same[:2]] for same in alike.values()]
    pairs = [pair for pair in words if len(pair) == 2][:3]
    instead = "leave one of them out"
    return [Problem("--multirun", f"{other} is the same run as {one}", instead) for one, other in pairs]
