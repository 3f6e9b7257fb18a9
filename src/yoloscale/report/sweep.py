"""The results of a sweep: a table for the screen, and files in its folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yoloscale.report import table
from yoloscale.report.best import write_recipes
from yoloscale.report.results import PointResult, SweepResults, read_results
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.system.files import write_whole

CSV = "sweep.csv"
SHOWN = 40  # rows of the table, unless all are asked for


@dataclass(frozen=True)
class Summary:
    """What was found out about a sweep: the table's lines, the files written, and what could not be drawn."""

    results: SweepResults
    lines: tuple[str, ...]
    recipes: tuple[Path, ...]
    pictures: tuple[Path, ...]
    csv: Path
    warnings: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files written."""
        return (self.csv, *self.recipes, *self.pictures)


def summary(sweep: SweepDirectory, width: int, *, shown: int = SHOWN, pictures: bool = True) -> Summary:
    """Write sweep.csv, experiment/best.yaml and the pictures into a sweep's folder, also while it goes on.

    `width` of the table is in characters, `shown` its rows at most; pictures take some seconds, and one that cannot be
    drawn is a warning. Raises ConfigError where sweep.yaml is absent or damaged, OSError where nothing can be written.
    """
    results = read_results(sweep)
    path = sweep.path / CSV
    write_whole(path, table.as_csv(results))
    recipes = write_recipes(results)
    drawn, warnings = draw_all(results) if pictures else ([], [])
    lines = tuple(table.lines(results, width, shown))
    return Summary(results, lines, tuple(recipes), tuple(drawn), path, tuple(warnings))


def draw_all(results: SweepResults) -> tuple[list[Path], list[str]]:
    """Draw every picture that the results are enough for; the files, and what could not be drawn."""
    from yoloscale.report.pictures import bars, history, parallel, pareto

    drawings: list[Callable[[SweepResults, Path], Path | None]] = [history.draw, parallel.draw, bars.draw, pareto.draw]
    drawn, warnings = list[Path](), list[str]()
    for draw in drawings:
        try:
            path = draw(results, results.sweep.path)
        except Exception as error:  # the sweep is done, with or without a picture
            warnings.append(f"{draw.__module__.rsplit('.', 1)[-1]}: {type(error).__name__}: {error}")
            continue
        drawn += [path] if path is not None else []
    return drawn, warnings


def as_json(shown: Summary) -> str:
    """For `-o json`; keys are stable. Points come best first."""
    results = shown.results
    content = {
        "sweep": results.sweep.name,
        "objectives": {each.name: "maximize" if each.is_maximized else "minimize" for each in results.objectives},
        "best": [point.name for point in results.best()],
        "points": [_point(results, point) for point in results.ranked()],
        "files": [str(path) for path in shown.paths],
    }
    return json.dumps(content, indent=1)


def _point(results: SweepResults, point: PointResult) -> dict[str, Any]:
    return {
        "name": point.name,
        "index": point.index,
        "state": point.state,
        "values": dict(point.values),
        "objectives": dict(zip([each.name for each in results.objectives], point.objectives, strict=True)),
        "is_partial": point.is_partial,
        "numbers": dict(point.numbers),
        "error": point.error,
    }
