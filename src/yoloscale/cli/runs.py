"""`yoloscale runs`: a table of the runs in a folder."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path

from yoloscale.backends.status import statuses
from yoloscale.cli import arguments
from yoloscale.exit_codes import FINISHED
from yoloscale.runs.jobs import label_of
from yoloscale.runs.listing import all_runs, all_sweeps
from yoloscale.runs.status import Status
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.system import formatting

COLUMNS = ("run", "state", "epoch", "metric", "images/s", "left", "job", "where", "updated")


def main(typed: list[str]) -> int:
    """Print the table, or a JSON array with -o json."""
    made = arguments.parser("runs", "The runs in a folder, oldest first.")
    arguments.add_output(made)
    parsed = made.parse_args(typed)
    sweeps = all_sweeps(Path(parsed.runs))
    found = statuses(all_runs(Path(parsed.runs)))
    if parsed.output == "json":
        print(json.dumps([entry.as_json() for entry in found], indent=1))
    elif not found and not sweeps:
        print(f"there are no runs in {parsed.runs}; `yoloscale train` makes one")
    elif found:
        print("\n".join(table(_without_empty("job", [COLUMNS, *(row(entry, time.time()) for entry in found)]))))
        words = {f"{label_of(str(entry.job))}: {entry.scheduler}" for entry in found if entry.scheduler}
        for line in sorted(words):
            print(f"\n{line}; states are those of the runs' last events")
    if sweeps and parsed.output == "text":
        print(*[""] * bool(found), *map(sweep_line, sweeps), sep="\n")
    return FINISHED


def sweep_line(sweep: SweepDirectory) -> str:
    """A sweep below the table of runs; its points have a table of their own."""
    path = shlex.quote(str(sweep.path))
    return f"sweep {sweep.name}: {len(sweep.points())} points, `yoloscale status {path}`"


def row(entry: Status, now: float) -> tuple[str, ...]:
    """One run as a row of the table."""
    metric = (
        f"{formatting.metric_name(entry.metric_name)} {entry.metric:.3f}"
        if entry.metric_name and entry.metric is not None
        else ""
    )
    return (
        entry.name,
        entry.state + (", pruned" if entry.phase.startswith("pruned") else ""),
        f"{entry.epoch}/{entry.epochs or '?'}" if entry.epochs or entry.hours else "",
        metric,
        f"{entry.images_per_s:.1f}" if entry.images_per_s else "",
        formatting.duration(entry.eta_s),
        entry.job or "",
        entry.where,
        f"{formatting.age(now - entry.updated_at)} ago" if entry.updated_at else "",
    )


def _without_empty(name: str, rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows without a column that says nothing."""
    place = rows[0].index(name)
    if any(cells[place] for cells in rows[1:]):
        return rows
    return [cells[:place] + cells[place + 1 :] for cells in rows]


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows in columns; a newline in a name does not break the table."""
    clean = [[cell.replace("\n", "\\n") for cell in cells] for cells in rows]
    widths = [max(len(cells[column]) for cells in clean) for column in range(len(clean[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(cells, widths, strict=True)] for cells in clean]
    return ["  ".join(cells).rstrip() for cells in padded]
