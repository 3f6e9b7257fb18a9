"""`yoloscale runs`: a table of the runs in a folder."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from yoloscale.backends.status import statuses
from yoloscale.cli import arguments, text
from yoloscale.exit_codes import FINISHED
from yoloscale.runs.jobs import label_of
from yoloscale.runs.listing import all_runs, all_sweeps
from yoloscale.runs.status import Status
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.system import formatting

COLUMNS = ("run", "state", "progress", "metric", "images/s", "left", "job", "where", "updated")


def main(typed: list[str]) -> int:
    """Print the table, or a JSON array with -o json."""
    parser = arguments.parser("runs", "The runs in a folder, oldest first.")
    arguments.add_output(parser)
    parsed = parser.parse_args(typed)
    sweeps = all_sweeps(Path(parsed.runs))
    entries = statuses(all_runs(Path(parsed.runs)))
    if parsed.output == "json":
        print(json.dumps([entry.as_json() for entry in entries], indent=1))
    elif not entries and not sweeps:
        print(f"there are no runs in {parsed.runs}; `yoloscale train` makes one")
    elif entries:
        rows = [COLUMNS, *(row(entry, time.time()) for entry in entries)]
        if not any(entry.job for entry in entries):
            job = COLUMNS.index("job")
            rows = [cells[:job] + cells[job + 1 :] for cells in rows]
        print("\n".join(table(rows)))
        for line in scheduler_lines(entries):
            print(f"\n{line}")
    if sweeps and parsed.output == "text":
        print(*[""] * bool(entries), *map(sweep_line, sweeps), sep="\n")
    return FINISHED


def scheduler_lines(entries: Sequence[Status]) -> list[str]:
    """A line for each scheduler that had no say in the states of some runs."""
    silent = {(label_of(entry.job), entry.scheduler) for entry in entries if entry.job and entry.scheduler}
    return [f"{label}: {words}; states are those of the runs' last events" for label, words in sorted(silent)]


def sweep_line(sweep: SweepDirectory) -> str:
    """A sweep below the table of runs; its points have a table of their own."""
    path = shlex.quote(str(sweep.path))
    return f"sweep {sweep.name}: {len(sweep.points())} points, `yoloscale status {path}`"


def row(entry: Status, now: float) -> tuple[str, ...]:
    """One run as a row of the table."""
    return (
        entry.name,
        entry.state + (", pruned" if entry.phase.startswith("pruned") else ""),
        progress(entry),
        text.metric(entry.metric_name, entry.metric) if entry.metric_name and entry.metric is not None else "",
        f"{entry.images_per_s:.1f}" if entry.images_per_s else "",
        formatting.duration(entry.eta_s),
        entry.job or "",
        entry.where,
        f"{formatting.age(now - entry.updated_at)} ago" if entry.updated_at else "",
    )


def progress(entry: Status) -> str:
    """`3/10` epochs; `120/400 images` of a run that predicts or evaluates; nothing before either is known."""
    if entry.images is not None:
        return text.images(entry.images_done or 0, entry.images)
    return f"{entry.epoch}/{entry.epochs or '?'}" if entry.epochs or entry.hours else ""


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows in columns; a newline in a name does not break the table."""
    return formatting.table([[cell.replace("\n", "\\n") for cell in cells] for cells in rows])
