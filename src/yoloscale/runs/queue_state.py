"""What a run with a job is doing: its events are the truth about training, the scheduler knows of its job. Pure.

| the job | by the run's events | state |
| --- | --- | --- |
| nobody answers | submitted or requeued since | pending |
| nobody answers | the ranks have saved and stopped | restarting |
| nobody answers | else | as the events alone tell |
| waits | | pending |
| runs | submitted or requeued since | pending: it is starting |
| runs | the ranks have stopped | restarting: the job is ending |
| runs | else | running, restarting, or pending before there are ranks |
| is forgotten, and the launcher lives | | as the events alone tell |
| is over or forgotten | `cancelled`, or a job that was | cancelled |
| is over or forgotten | the ranks have saved and stopped | preempted |
| is over or forgotten | else | preempted if the scheduler says so, else failed |
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from yoloscale.exit_codes import STOPPED
from yoloscale.runs.events import Requeued
from yoloscale.runs.jobs import Job, NoAnswer, label_of
from yoloscale.runs.progress import Progress


@dataclass(frozen=True)
class RunState:
    """A state, what is going on, and what the scheduler says about an end that nobody else has a word on."""

    state: str
    phase: str = ""
    error: str | None = None


def asks(progress: Progress) -> bool:
    """Whether it takes the scheduler to tell the state: the run was submitted, and that is not over by its events."""
    if progress.job is None or progress.finished:
        return False
    if progress.exited is None or progress.goes_on:
        return True
    return progress.is_submitted and progress.exited.exit_code == STOPPED and not progress.exited.final


def state_of(progress: Progress, job: Job | NoAnswer | None, *, lives: bool | None) -> RunState | None:
    """The state of a run that `asks`; None where it is that of the events alone.

    Args:
        job: of the run's newest submission; None if the scheduler has forgotten it.
        lives: whether its launcher does, None if that is on another host.
    """
    if isinstance(job, NoAnswer):
        return _unanswered(progress, job)
    if job is None:
        return None if lives else _after(progress, None)
    if job.is_over:
        return _after(progress, job)
    if job.is_waiting:
        return RunState("pending", queue_phase(progress, job))
    if progress.queued is not None:
        return RunState("pending", _requeue_words(progress) or "starting")
    if progress.exited is not None and not progress.goes_on:
        return RunState("restarting", "its ranks have stopped, its job is ending")
    return active(progress)


def _unanswered(progress: Progress, silence: NoAnswer) -> RunState | None:
    """Ranks that have saved are not at their end while their job may be requeued once the scheduler answers."""
    if progress.queued is not None:
        return RunState("pending", queue_phase(progress, None))
    has_stopped = progress.exited is not None and not progress.goes_on and not progress.exited.final
    if has_stopped and silence.words and silence.is_here:
        return RunState("restarting", f"its ranks have stopped, and {_scheduler(progress)} does not tell what follows")
    return None


def active(progress: Progress) -> RunState:
    """The state of a run that somebody looks after."""
    if progress.goes_on:
        return RunState("restarting", progress.phase)
    if progress.is_training:
        return RunState("running", progress.phase)
    if progress.attempt > 1:
        return RunState("restarting", progress.phase)
    return RunState("running" if progress.processes else "pending", progress.phase)


def queue_phase(progress: Progress, job: Job | None) -> str:
    """Why a job waits, in the scheduler's words, and until when."""
    waiting = "waiting in the queue" + (f": {job.reason}" if job is not None and job.reason else "")
    if job is not None and job.starts_at is not None and job.starts_at > time.time():
        waiting += time.strftime(", expected to start %Y-%m-%d %H:%M", time.localtime(job.starts_at))
    requeued = f"requeued by {_scheduler(progress)}" if progress.queued is None else _requeue_words(progress)
    return f"{requeued}; {waiting}" if requeued else waiting


def _requeue_words(progress: Progress) -> str:
    if not isinstance(progress.queued, Requeued):
        return ""
    cause = progress.queued.cause
    return "requeued" + (f" ({cause})" if cause and not cause.startswith("requeued") else "")


def _after(progress: Progress, job: Job | None) -> RunState:
    """The job is gone, and its last word, if there is one, is that the ranks have saved and stopped."""
    has_stopped = progress.stopped is not None or (progress.exited is not None and not progress.goes_on)
    word, error = (job.word, _end_words(progress, job)) if job is not None else ("", _forgotten(progress))
    if progress.cancelled:
        return RunState("cancelled")
    if word == "CANCELLED":
        return RunState("cancelled", error=error)
    if has_stopped and progress.queued is None:
        return RunState("preempted", error=None if word in ("", "COMPLETED", "FAILED") else error)
    return RunState("preempted" if word == "PREEMPTED" else "failed", error=error)


def _end_words(progress: Progress, job: Job) -> str:
    when = " before its launcher began" if progress.queued is not None else ""
    reason = f" ({job.reason})" if job.reason not in ("", job.word, job.word.title()) else ""
    return f"{label_of(job.id)} ended job {job.id}{when}: {job.state}{reason}"


def _forgotten(progress: Progress) -> str:
    words = "its launcher has left no last word"
    if progress.queued is not None:
        words = "its launcher never began: it was cancelled in the queue, or its script failed"
    return f"job {progress.job} is no longer known to {_scheduler(progress)}, and {words}"


def _scheduler(progress: Progress) -> str:
    return label_of(str(progress.job))
