"""What is wrong with the points of a sweep, told once and not a thousand times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yoloscale.errors import Problem

MAX_SHOWN = 10


def gathered(found: Sequence[Sequence[Problem]], names: Sequence[str]) -> list[Problem]:
    """The different problems of all points, each with the points that have it; of very many the first.

    Args:
        found: each point's problems.
        names: what the points are called.
    """
    points: dict[Problem, list[str]] = {}
    for problems, name in zip(found, names, strict=True):
        for problem in dict.fromkeys(problems):
            points.setdefault(problem, []).append(name)
    told = [_told(problem, having, len(names)) for problem, having in points.items()]
    if len(told) > MAX_SHOWN:
        rest = len(told) - MAX_SHOWN
        told[MAX_SHOWN:] = [Problem("--multirun", f"{rest} more problems", "mend those above first")]
    return told


def _told(problem: Problem, points: list[str], count: int) -> Problem:
    if len(points) == count:
        return problem
    where = f"point {points[0]}" if len(points) == 1 else f"{len(points)} of {count} points, the first: {points[0]}"
    return replace(problem, found=f"{problem.found} ({where})")
