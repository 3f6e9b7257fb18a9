"""events.jsonl: the history of a run, which `status`, `runs` and goodput are computed from."""

from __future__ import annotations

import time
from typing import Any

from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory

ATTEMPT_STARTED = "attempt_started"
SETUP = "setup"
TRAINING_STARTED = "training_started"
CHECKPOINT_SAVED = "checkpoint_saved"
EVALUATED = "evaluated"
PREEMPTED = "preempted"
CANCELLED = "cancelled"
RESTARTED = "restarted"
FINISHED = "finished"
FAILED = "failed"
WARNING = "warning"


def record(run: RunDirectory, event: str, **fields: Any) -> None:
    """Append one event with the time of day (seconds since the epoch)."""
    jsonl.append(run.events, {"event": event, "time": round(time.time(), 3), **fields})


def history(run: RunDirectory) -> list[dict[str, Any]]:
    """All events so far, oldest first."""
    return list(jsonl.read(run.events))
