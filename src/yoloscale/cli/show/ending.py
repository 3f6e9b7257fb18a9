"""What a person reads when an attempt has ended: the result, or which rank failed and how its log ends."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yoloscale.agent.outcome import Failure, Outcome
from yoloscale.cli import text
from yoloscale.exit_codes import BAD_CONFIG, FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.status import Status, read_result
from yoloscale.system import formatting

PREDICT, VAL = "predict", "val"  # kinds that have more to show than metrics
SHOWN_CLASSES = 100


def print_ending(run: RunDirectory, outcome: Outcome) -> None:
    """A short table for a finished run, a message for any other; errors go to stderr."""
    if outcome.exit_code == FINISHED:
        print_result(run)
    elif outcome.exit_code in (STOPPED, INTERRUPTED):
        print(f"{outcome.state}: go on with  yoloscale resume {shown(run.path)}")
    elif outcome.failure is not None:
        print_failure(run, outcome.failure, outcome.reason)
    else:
        print(f"The run failed on another node: yoloscale status {shown(run.path)}", file=sys.stderr)


def print_late_ending(run: RunDirectory, outcome: Outcome, run_status: Status) -> None:
    """The end of ranks that took part in a run that somebody else looks after, and what is known of that run."""
    if outcome.exit_code == FINISHED:
        print_result(run)
        return
    if outcome.failure is not None:
        code, log = outcome.failure.exit_code, shown(run.path / outcome.failure.log)
        print(f"A rank here failed: {outcome.failure.who} (exit code {code}): {outcome.failure.error}", file=sys.stderr)
        print("\n".join([f"The end of {log}:", *(f"  {line}" for line in outcome.failure.log_end)]), file=sys.stderr)
    goes_on = f"{run.name} goes on without the ranks of this command"
    state = goes_on if run_status.is_active else f"{run.name} is {run_status.state}"
    print(f"{outcome.reason or state}: yoloscale status {shown(run.path)}")


def print_result(run: RunDirectory) -> None:
    """What has come of a finished run: metrics and weights, rows, or metrics by class."""
    result, kind = read_result(run) or {}, run.kind
    if kind == PREDICT:
        print(f"{run.name} is finished: {text.predicted(result, shown(run.failures_csv))}")
        print(f"rows     {shown(run.predictions)}")
    else:
        print(f"{run.name} is finished")
        _print_metrics(result)
    if kind == VAL:
        _print_classes(result)
    best = run.path / str(result.get("weights", "weights/best.pt"))
    if kind not in (PREDICT, VAL) and best.exists():
        print(f"weights  {shown(best)}")
        print(f"next     yoloscale val {shlex.quote(f'model={_relative(best)}')} data=…")
    print(f"         yoloscale status {shown(run.path)}")


def _print_metrics(result: Mapping[str, Any]) -> None:
    """A table of final metrics, speed and time."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    metrics: Any = result.get("metrics")
    rows = [
        (formatting.metric_name(key), f"{value:.4f}")
        for key, value in (metrics if isinstance(metrics, dict) else {}).items()
        if key.startswith("metrics/") and isinstance(value, (int, float))
    ]
    rows += [("speed", text.images_per_s(result.get("images_per_s")))] if result.get("images_per_s") else []
    rows += [("time", formatting.duration(float(result["seconds"])))] if result.get("seconds") else []
    rows += [("goodput", formatting.percent(float(result["goodput"])))] if result.get("goodput") else []
    table = Table(show_header=False)
    for name, value in rows:
        table.add_row(Text(name), Text(value, justify="right"))
    Console(highlight=False).print(table)


def _print_classes(result: Mapping[str, Any]) -> None:
    """A row for each class, as Ultralytics' summary has them; nothing where it has none."""
    rows: Any = result.get("classes")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
        return
    columns = list(rows[0])
    cells = [[_cell(row.get(column)) for column in columns] for row in rows[:SHOWN_CLASSES]]
    print("\n".join(formatting.table([columns, *cells], right=range(1, len(columns)))))
    if len(rows) > SHOWN_CLASSES:
        print(f"and {len(rows) - SHOWN_CLASSES} more classes in result.json")


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def print_failure(run: RunDirectory, failure: Failure, verdict: str = "") -> None:
    """Host, rank, exit code, why it was not tried again, and the end of its log."""
    code = f" (exit code {failure.exit_code})" if failure.exit_code is not None else ""
    print(f"The run failed: {failure.who}{code}: {failure.error}", file=sys.stderr)
    if verdict:
        print(f"{verdict[0].upper()}{verdict[1:]}; this is how it began.", file=sys.stderr)
    if failure.log_end:
        print(f"\nThe end of {shown(run.path / failure.log)}:", file=sys.stderr)
        for line in failure.log_end:
            print(f"  {line}", file=sys.stderr)
    again = f"yoloscale resume {shown(run.path)}"
    if failure.exit_code == BAD_CONFIG:  # what is frozen stays, but for where a run trains
        print(f"\nOther settings need another name=; once what is not a setting is mended: {again}", file=sys.stderr)
    else:
        print(f"\nOnce it is mended: {again}", file=sys.stderr)


def shown(path: Path) -> str:
    """A path that can be pasted into a shell, relative to the working folder where it lies below it."""
    return shlex.quote(str(_relative(path)))


def _relative(path: Path) -> Path:
    absolute = Path(os.path.normpath(path.absolute()))
    here = Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute
