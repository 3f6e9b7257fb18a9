"""`yoloscale report SWEEP|RUN`: what a sweep or a prediction has come to, as a table and pictures."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence

from yoloscale.cli import arguments
from yoloscale.cli.show.ending import shown
from yoloscale.exit_codes import FINISHED
from yoloscale.report.best import recipe_names
from yoloscale.report.sweep import SHOWN, Summary, as_json, summary
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.formatting import counted, tally

_NOT_A_TERMINAL = 10_000  # columns: what is read by a program is not cut


def main(typed: list[str]) -> int:
    """Print the table and the files written, or an object with -o json."""
    what = "The results of a sweep, best point first, or of a prediction, as far as it has come."
    parser = arguments.parser("report", what)
    parser.add_argument("run", metavar="SWEEP|RUN", help="its name, the path of its folder, or its SLURM job")
    parser.add_argument("--all", action="store_true", help="every point of a long sweep, every class of a prediction")
    parser.add_argument("--no-pictures", action="store_true", help="the table only; of a sweep, its files, too")
    arguments.add_output(parser)
    parsed = parser.parse_args(typed)
    chosen = arguments.chosen_sweep(parsed)
    if chosen is None:
        run = arguments.chosen_run(parsed)
        return _of_a_prediction(run, parsed) if run.kind == "predict" else _of_a_run(run)
    rows = sys.maxsize if parsed.all else SHOWN
    report = summary(chosen, screen_width(), shown=rows, pictures=not parsed.no_pictures)
    print(as_json(report) if parsed.output == "json" else "\n".join(text(report)))
    say_warnings(report.warnings)
    return FINISHED


def say_warnings(warnings: Sequence[str]) -> None:
    """Tell of pictures that are missing."""
    for warning in warnings:
        print(f"a picture could not be drawn: {warning}", file=sys.stderr)


def text(report: Summary) -> list[str]:
    """Counts, the table, and where the files are."""
    results = report.results
    head = f"{results.sweep.name}: {counted(len(results.points), 'point')}"
    lines = [head]
    if results.points:
        lines = [f"{head}: {tally(point.state for point in results.points)}", *report.lines]
    named = {"table": [report.csv], "best": report.recipes, "pictures": report.pictures}
    for name, paths in named.items():
        lines += [f"{name if place == 0 else '':<8} {shown(path)}" for place, path in enumerate(paths)]
    if recipes := recipe_names(results):
        lines.append(f"again    yoloscale train --config-dir {shown(results.sweep.path)} experiment={recipes[0][0]}")
    elif not any(point.state == "finished" for point in results.points):
        lines.append("no point has finished yet: there is no best one")
    else:
        names = " and ".join(objective.name for objective in results.objectives)
        lines.append(f"no finished point has a number for {names}: there is no best one")
    return lines


def screen_width() -> int:
    """Characters in a line of the terminal, or of $COLUMNS; no limit where the output is no terminal."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return _NOT_A_TERMINAL


def _of_a_prediction(run: RunDirectory, parsed: argparse.Namespace) -> int:
    from yoloscale.report.prediction import summary as prediction

    report = prediction.summary(run, pictures=not parsed.no_pictures)
    if parsed.output == "json":
        print(prediction.as_json(report))
    else:
        lines = prediction.text(report, every_class=parsed.all)
        lines += [f"{'' if place else 'pictures':<8} {shown(path)}" for place, path in enumerate(report.pictures)]
        print("\n".join(lines))
    say_warnings(report.warnings)
    return FINISHED


def _of_a_run(run: RunDirectory) -> int:
    pictures = sorted(path.name for pattern in ("*.png", "*.jpg") for path in run.path.glob(pattern))
    if pictures:
        where = f"its pictures are in {shown(run.path)}: {', '.join(pictures)}"
    elif run.result.exists():
        where = "and has no pictures: plots=true draws them when a run ends"
    else:
        where = f"and has no pictures yet: they are drawn in {shown(run.path)} when it ends"
    print(f"{run.name} is one run, {where}")
    return FINISHED
