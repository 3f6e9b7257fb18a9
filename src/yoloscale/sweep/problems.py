"""What is wrong with the points of a sweep, told once and not a thousand times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ParamSpec, TypeVar

from yoloscale.config.schema import Config
from yoloscale.config.topology import differences
from yoloscale.errors import ConfigError, Problem

MAX_SHOWN = 10
T = TypeVar("T")
P = ParamSpec("P")


def attempt(act: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | ConfigError:
    """What `act` returns, or the ConfigError that it raises."""
    try:
        return act(*arguments, **options)
    except ConfigError as error:
        return error


def all_right(outcomes: Sequence[T | ConfigError], names: Sequence[str]) -> list[T]:
    """What came of each point. Raises ConfigError with what is wrong with any of them, as `gathered` has it."""
    problems = [outcome.problems if isinstance(outcome, ConfigError) else () for outcome in outcomes]
    if lines := gathered(problems, names):
        raise ConfigError(lines)
    return [outcome for outcome in outcomes if not isinstance(outcome, ConfigError)]


def gathered(problems: Sequence[Sequence[Problem]], names: Sequence[str]) -> list[Problem]:
    """The different problems of all points, each with the names of the points that have it; of very many the first."""
    points: dict[Problem, list[str]] = {}
    for own, name in zip(problems, names, strict=True):
        for problem in dict.fromkeys(own):
            points.setdefault(problem, []).append(name)
    located = [_with_place(problem, having, len(names)) for problem, having in points.items()]
    if len(located) > MAX_SHOWN:
        rest = len(located) - MAX_SHOWN
        located[MAX_SHOWN:] = [Problem("--multirun", f"{rest} more problems", "mend those above first")]
    return located


def refuse_unlike(configs: Sequence[Config], names: Sequence[str], instead: str) -> None:
    """Raise ConfigError unless all points run where and how the first does."""
    for config, name in zip(configs[1:], names[1:], strict=True):
        if config.cluster != configs[0].cluster:
            for key, there, here in differences(replace(configs[0], cluster=config.cluster), configs[0])[:1]:
                raise ConfigError(Problem(key, f"{there} in point {name}, {here} in point {names[0]}", instead))


def _with_place(problem: Problem, points: list[str], count: int) -> Problem:
    if len(points) == count:
        return problem
    where = f"point {points[0]}" if len(points) == 1 else f"{len(points)} of {count} points, the first: {points[0]}"
    return replace(problem, found=f"{problem.found} ({where})")
