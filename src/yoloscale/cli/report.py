"""`yoloscale report SWEEP`: what a sweep has come to, as a table, a recipe of the best point, and pictures."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter

from yoloscale.cli import arguments
from yoloscale.cli.show.ending import shown
from yoloscale.exit_codes import FINISHED
from yoloscale.report.best import recipe_names
from yoloscale.report.sweep import SHOWN, Summary, as_json, summary
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.formatting import counted

_NOT_A_TERMINAL = 10_000  # columns: what is read by a program is not cut


def main(typed: list[str]) -> int:
    """Print the table and the files written, or an object with -o json."""
    made = arguments.parser("report", "The results of a sweep, best point first, as far as it has come.")
    made.add_argument("run", metavar="SWEEP", help="its name, the path of its folder, or its SLURM job")
    made.add_argument("--all", action="store_true", help="every point of a long sweep")
    made.add_argument("--no-pictures", action="store_true", help="the table, sweep.csv and the recipe only")
    arguments.add_output(made)
    parsed = made.parse_args(typed)
    chosen = arguments.chosen_sweep(parsed)
    if chosen is None:
        return _of_a_run(arguments.chosen_run(parsed))
    found = summary(chosen, screen_width(), shown=sys.maxsize if parsed.all else SHOWN, pictures=not parsed.no_pictures)
    print(as_json(found) if parsed.output == "json" else "\n".join(text(found)))
    say_warnings(found)
    return FINISHED


def say_warnings(found: Summary) -> None:
    """Tell of pictures that are missing."""
    for warning in found.warnings:
        print(f"a picture could not be drawn: {warning}", file=sys.stderr)


def text(found: Summary) -> list[str]:
    """Counts, the table, and where the files are."""
    results = found.results
    counts = Counter(point.state for point in results.points)
    count = len(results.points)
    head = f"{results.sweep.name}: {counted(count, 'point')}"
    lines = [f"{head}: " + ", ".join(f"{number} {state}" for state, number in counts.items()) if count else head]
    lines += found.lines if count else []
    named = {"table": [found.csv], "best": found.recipes, "pictures": found.pictures}
    rows = [(name, path) for name, paths in named.items() for path in paths]
    titles = [
        name if name not in [before for before, _ in rows[:place]] else "" for place, (name, _) in enumerate(rows)
    ]
    lines += [f"{title:<8} {shown(path)}" for title, (_, path) in zip(titles, rows, strict=True)]
    if names := recipe_names(results):
        lines.append(f"again    yoloscale train --config-dir {shown(results.sweep.path)} experiment={names[0][0]}")
    elif not any(point.state == "finished" for point in results.points):
        lines.append("no point has finished yet: there is no best one")
    else:
        wanted = " and ".join(objective.name for objective in results.objectives)
        lines.append(f"no finished point has a number for {wanted}: there is no best one")
    return lines


def screen_width() -> int:
    """Characters in a line of the terminal, or of $COLUMNS; no limit where the output is no terminal."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return _NOT_A_TERMINAL


def _of_a_run(run: RunDirectory) -> int:
    drawn = sorted(path.name for pattern in ("*.png", "*.jpg") for path in run.path.glob(pattern))
    if drawn:
        said = f"its pictures are in {shown(run.path)}: {', '.join(drawn)}"
    elif run.result.exists():
        said = "and has no pictures: plots=true draws them when a run ends"
    else:
        said = f"and has no pictures yet: they are drawn in {shown(run.path)} when it ends"
    print(f"{run.name} is one run, {said}")
    return FINISHED
