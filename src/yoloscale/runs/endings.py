"""The last words on a run of those that are not its launcher: the programs of a job, a sweep, who cancels it."""

from __future__ import annotations

import socket

from yoloscale.exit_codes import FAILED, INTERRUPTED, STOPPED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory


def record_failure(run: RunDirectory, job: str | None, error: str, *, start: str | None = None) -> None:
    """The run has failed in this job, and nobody goes on with it; `start` is that of the srun which found it out."""
    failed = events.Failed(
        attempt=events.last_attempt(events.history(run)),
        rank=None,
        host=socket.gethostname(),
        error=error,
        collateral=False,
        gave_up=True,
        job=job,
        start=start,
    )
    events.note(run, failed)
    _exit(run, job, FAILED)


def record_stop(run: RunDirectory, job: str) -> None:
    """The ranks have saved and stopped, and the job is not requeued."""
    _exit(run, job, STOPPED, is_final=True)


def record_cancel(run: RunDirectory, job: str) -> None:
    """A person has stopped this job."""
    events.note(run, events.Cancelled(job=job))
    _exit(run, job, INTERRUPTED)


def _exit(run: RunDirectory, job: str | None, code: int, *, is_final: bool = False) -> None:
    attempt = events.last_attempt(events.history(run))
    events.note(run, events.Exited(attempt=attempt, exit_code=code, job=job, final=is_final))
