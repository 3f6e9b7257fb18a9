"""Stopping a run that a SLURM job has: its ranks save first if there are any, and then the job ends."""

from __future__ import annotations

from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.endings import record_cancel
from yoloscale.runs.jobs import Ask, Job, NoAnswer
from yoloscale.runs.progress import Progress
from yoloscale.runs.queue_state import asks
from yoloscale.runs.status import read_progress
from yoloscale.runs.sweep_directory import sweep_of
from yoloscale.system.waiting import wait_until

POLL_S = 1.0  # between two questions to SLURM


def cancel_job(run: RunDirectory, asked: Ask, *, at_once: bool, timeout_s: float) -> bool:
    """Stop a run and end its job, and wait; True once both are over.

    A job that waits is cancelled. Ranks that run are asked by RUN/STOP, and the script of the job then cancels it;
    with `at_once`, SLURM is told now, which lets them live for its KillWait. A run that was started in somebody's
    allocation leaves that. Raises ConfigError if SLURM is needed and does not answer.
    """
    has_asked = has_ended_job = False

    def is_over() -> bool:
        nonlocal has_asked, has_ended_job
        progress = read_progress(run)
        assert progress.job is not None, "a run on SLURM"
        job = asked([progress.job]).of(progress.job)
        if _is_over(progress, job):
            if asks(progress):  # nobody lived to put it on record
                record_cancel(run, progress.job)
            return True
        if at_once or progress.queued is not None or (isinstance(job, Job) and job.is_waiting):
            if isinstance(job, NoAnswer):
                raise ConfigError(_not_cancelled(progress.job, job.words))
            if not has_ended_job:
                has_ended_job = True
                _end_job(run, progress)
        elif not has_asked:
            has_asked = True
            events.append(run, events.Cancelled())
            run.stop_request.touch()
        return False

    return wait_until(is_over, timeout_s, POLL_S)


def _is_over(progress: Progress, job: Job | NoAnswer | None) -> bool:
    """The run's own job must be gone, since its script writes into the run's history to the last; if SLURM tells."""
    if progress.is_submitted and not isinstance(job, NoAnswer):
        return job is None or job.is_over
    return not asks(progress)


def _end_job(run: RunDirectory, progress: Progress) -> None:
    """On record first if there are ranks, whose launcher asks why it is stopped."""
    target = str(progress.job)
    if not progress.is_submitted and progress.launcher is not None:
        target += "." + str(progress.launcher.start).rpartition(".")[2]  # the step only
    elif sweep_of(run) is None:
        target = str(events.array_of(target))  # all elements of an array that works on one run
    if progress.queued is None:
        events.append(run, events.Cancelled())
    try:
        call(["scancel", target])
    except SlurmError as error:
        raise ConfigError(_not_cancelled(target, error.said)) from None


def _not_cancelled(target: str, words: str) -> Problem:
    instead = f"where and when SLURM answers: the same again, or scancel {target}"
    return Problem("RUN", f"job {target} could not be cancelled: {words}", instead)
