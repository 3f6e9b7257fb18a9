"""runs/<sweep>/experiment/best.yaml: the best point as a recipe; with several objectives one for each of the front."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from yoloscale.config.freeze import load
from yoloscale.report.results import PointResult, SweepResults
from yoloscale.system import formatting
from yoloscale.system.files import write_whole
from yoloscale.system.formatting import printable

FOLDER = "experiment"
_NAME = re.compile(r"best(-\d+)?\.yaml")


def recipe_names(results: SweepResults) -> list[tuple[str, PointResult]]:
    """What the recipes are called, each with its point: `best`, or `best-1`, `best-2`, … along a Pareto front."""
    best = results.best()
    if len(results.objectives) == 1:
        return [("best", point) for point in best]
    return [(f"best-{number}", point) for number, point in enumerate(best, 1)]


def write_recipes(results: SweepResults) -> list[Path]:
    """Write them, each whole or not at all, and remove those of points that are not among the best any more."""
    from yoloscale.report.recipe import composer, recipe

    folder, written, composed = results.sweep.path / FOLDER, list[Path](), composer()
    for name, point in recipe_names(results):
        config = load(results.sweep.run(point.name).config)
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.yaml"
        write_whole(path, recipe(config, list(_comment(results, point, name)), composed))
        written.append(path)
    for path in folder.glob("best*.yaml"):
        if _NAME.fullmatch(path.name) and path not in written:
            path.unlink(missing_ok=True)
    return written


def _comment(results: SweepResults, point: PointResult, name: str) -> Iterator[str]:
    values = zip(results.objectives, point.objectives, strict=True)
    numbers = ", ".join(
        f"{formatting.metric_name(each.name)} {formatting.number(value)}" for each, value in values if value is not None
    )
    ranks = sum(each.is_complete for each in results.points)
    which = "Best" if len(results.objectives) == 1 else "Not beaten in every objective by any"
    yield printable(f"{which} of {ranks} finished points of sweep {results.sweep.name}: {point.name}, {numbers}.")
    yield "All that differs from the defaults; where it trains is for you to say (cluster=, name=)."
    folder = Path(results.sweep.path.parent.name) / results.sweep.name  # no path to itself: it may be moved
    yield printable(f"  yoloscale train --config-dir {shlex.quote(str(folder))} experiment={name}")
