"""What the points of a sweep have come to, from their run directories alone; also while the sweep goes on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yoloscale.backends.status import statuses
from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.status import Status, read_result
from yoloscale.runs.sweep_directory import SweepDirectory, SweepPoint, SweepRecord, read

PRUNED = "pruned"  # finished, but ended early as hopeless
_DEFAULT_OBJECTIVE = "fitness"
_PARAMS = re.compile(r"^(sweep|hydra\.sweeper)\.params\.")
_LOG = re.compile(r"tag\(\s*(?:\w+\s*,\s*)*log\s*,")


@dataclass(frozen=True)
class Objective:
    """A number that the sweep is to make as large, or as small, as can be."""

    name: str
    is_maximized: bool = True

    def gain(self, value: float) -> float:
        """The value turned so that more is better."""
        return value if self.is_maximized else -value


@dataclass(frozen=True)
class PointResult:
    """One point: what was varied, as a person would say it, and how it has done.

    `objectives` are in the order of the sweep's; None where there is no number yet. `numbers` holds everything known
    by its name in result.json; of a point that has no result, those of the best evaluation so far (`is_partial`).
    """

    index: int
    name: str
    state: str
    values: Mapping[str, str]
    objectives: tuple[float | None, ...]
    numbers: Mapping[str, float] = field(default_factory=dict)
    is_partial: bool = False
    epochs: int = 0  # in all; how many are done is among the numbers
    error: str | None = None

    @property
    def has_all(self) -> bool:
        """Whether every objective has a number."""
        return all(value is not None for value in self.objectives)

    @property
    def is_complete(self) -> bool:
        """Whether it was trained to its end and has every number: only such points are compared for the best."""
        return self.state == "finished" and not self.is_partial and self.has_all


@dataclass(frozen=True)
class SweepResults:
    """All points of a sweep in their order, the keys that they differ by, and what makes one better than another."""

    sweep: SweepDirectory
    objectives: tuple[Objective, ...]
    keys: tuple[str, ...]
    points: tuple[PointResult, ...]
    log_keys: frozenset[str] = frozenset()  # which were searched on a logarithmic scale
    is_search: bool = False

    def ranked(self) -> list[PointResult]:
        """Best first: complete points; then those with numbers so far; then the others in their order."""
        return sorted(self.points, key=lambda point: (not point.is_complete, not point.has_all, *self._losses(point)))

    def best(self) -> list[PointResult]:
        """The best complete point, or with several objectives the Pareto front, best in the first objective first."""
        complete = [point for point in self.ranked() if point.is_complete]
        if len(self.objectives) == 1:
            return complete[:1]
        return [point for point in complete if not any(self._dominates(other, point) for other in complete)]

    def _losses(self, point: PointResult) -> tuple[float, ...]:
        if not point.has_all:
            return (point.index,)
        gains = zip(self.objectives, point.objectives, strict=True)
        return (*(-objective.gain(value) for objective, value in gains if value is not None), point.index)

    def _dominates(self, one: PointResult, other: PointResult) -> bool:
        mine, theirs = self._losses(one)[:-1], self._losses(other)[:-1]
        return mine != theirs and all(here <= there for here, there in zip(mine, theirs, strict=True))


def read_results(sweep: SweepDirectory) -> SweepResults:
    """Read a sweep's folder. Raises ConfigError where sweep.yaml is absent or damaged."""
    record = read(sweep)
    search = record.settings.search
    directions = (search.objectives if search is not None else {}) or {_DEFAULT_OBJECTIVE: "maximize"}
    objectives = tuple(Objective(name, direction == "maximize") for name, direction in directions.items())
    runs = [sweep.run(point.name) for point in record.points]
    points = [
        _point(point, run, status, objectives)
        for point, run, status in zip(record.points, runs, statuses(runs), strict=True)
    ]
    keys = dict.fromkeys(key for point in points for key in point.values)
    return SweepResults(sweep, objectives, tuple(keys), tuple(points), _log_keys(record), search is not None)


def _point(point: SweepPoint, run: RunDirectory, status: Status, objectives: Sequence[Objective]) -> PointResult:
    result = read_result(run)
    if result is None:
        numbers = _so_far(run, objectives)
    else:
        metrics = result.get("metrics")
        numbers = {**_finite(metrics if isinstance(metrics, dict) else {}), **_finite(result)}
    for name, value in (("epochs", status.epoch), ("images_per_s", status.images_per_s), ("goodput", status.goodput)):
        if name not in numbers and value:
            numbers[name] = value
    state = PRUNED if result is not None and result.get(PRUNED) else status.state
    return PointResult(
        index=point.index,
        name=point.name,
        state=state,
        values=point.values,
        objectives=tuple(_number(numbers, objective.name) for objective in objectives),
        numbers=numbers,
        is_partial=result is None,
        epochs=status.epochs,
        error=status.error,
    )


def _so_far(run: RunDirectory, objectives: Sequence[Objective]) -> dict[str, float]:
    """The metrics of that evaluation of a run without a result which was best in the first objective."""
    first = objectives[0]
    evaluations = [_finite(line) for line in jsonl.read(run.metrics) if line.get("kind") == "eval"]
    values = [(numbers, _number(numbers, first.name)) for numbers in evaluations]
    gains = [(numbers, first.gain(value)) for numbers, value in values if value is not None]
    best, _ = max(gains, key=lambda entry: entry[1], default=({}, 0.0))
    names = {_DEFAULT_OBJECTIVE, *(objective.name for objective in objectives)}
    return {name: value for name, value in best.items() if name in names or name.startswith("metrics/")}


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
    return {name: value for name, value in numbers.items() if not isinstance(value, bool) and math.isfinite(value)}


def _number(numbers: Mapping[str, float], name: str) -> float | None:
    return numbers.get(name, numbers.get(f"metrics/{name}"))


def _log_keys(record: SweepRecord) -> frozenset[str]:
    if record.space is not None:
        return frozenset(entry["key"] for entry in record.space if isinstance(entry, dict) and entry.get("log"))
    # a search of a version that kept no space
    typed = dict(token.partition("=")[::2] for token in record.overrides)
    params = {**record.settings.params, **{key.lstrip("+"): value for key, value in typed.items()}}
    return frozenset(
        _PARAMS.sub("", key) for key, value in params.items() if isinstance(value, str) and _LOG.match(value)
    )
