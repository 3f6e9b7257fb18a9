"""What the programs of a job write into the run's history beside its launchers' words."""

from __future__ import annotations

from yoloscale.launch.outcome import FAILED, INTERRUPTED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory


def record_failure(run: RunDirectory, error: str) -> None:
    """The run has failed, and nobody goes on with it."""
    attempt = events.last_attempt(events.history(run))
    events.note(run, events.FAILED, attempt=attempt, rank=None, error=error, collateral=False, gave_up=True)
    events.note(run, events.EXITED, attempt=attempt, exit_code=FAILED)


def record_cancel(run: RunDirectory) -> None:
    """A person has stopped the run."""
    attempt = events.last_attempt(events.history(run))
    events.note(run, events.CANCELLED)
    events.note(run, events.EXITED, attempt=attempt, exit_code=INTERRUPTED)
