"""The last words on a run of those that are not its launcher: the programs of a job, a sweep, who cancels it."""

from __future__ import annotations

import socket

from yoloscale.exit_codes import FAILED, INTERRUPTED, STOPPED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory


def record_failure(run: RunDirectory, job: str | None, error: str, *, start: str | None = None) -> None:
    """The run has failed in this job, and nobody goes on with it; `start` is that of the srun which found it out."""
    attempt = events.last_attempt(events.history(run))
    failed = events.Failed(
        attempt=attempt,
        rank=None,
        host=socket.gethostname(),
        error=error,
        collateral=False,
        gave_up=True,
        job=job,
        start=start,
    )
    events.note(run, failed)
    events.note(run, events.Exited(attempt=attempt, exit_code=FAILED, job=job))


def record_stop(run: RunDirectory, job: str) -> None:
    """The ranks have saved and stopped, and the job is not requeued."""
    attempt = events.last_attempt(events.history(run))
    events.note(run, events.Exited(attempt=attempt, exit_code=STOPPED, job=job, final=True))


def record_cancel(run: RunDirectory, job: str) -> None:
    """A person has stopped this job."""
    attempt = events.last_attempt(events.history(run))
    events.note(run, events.Cancelled(job=job))
    events.note(run, events.Exited(attempt=attempt, exit_code=INTERRUPTED, job=job))
