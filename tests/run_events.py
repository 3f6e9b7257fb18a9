"""The events of a run as they stand in its files, and lines that other versions of the program may have written."""

from __future__ import annotations

from typing import Any

from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import files


def lines_of(run: RunDirectory) -> list[dict[str, Any]]:
    """All lines so far, oldest first."""
    return [dict(event.record) for event in events.history(run)]


def write_event(run: RunDirectory, kind: str, **fields: Any) -> None:
    """Append a line with these fields and no others of its kind."""
    files.append(run, {**events.line(run, events.Cancelled()), "event": kind, **fields})
