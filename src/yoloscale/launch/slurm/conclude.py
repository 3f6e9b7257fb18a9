"""`python -m yoloscale.launch.slurm.conclude FOLDER CODE`: the end of the batch script, once the ranks are gone.

Decides from the run's own events, since neither torchrun nor srun passes the exit codes of ranks on, and SLURM does not
requeue a job that stops by itself when it is told that it will be preempted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from yoloscale.config.errors import ConfigError
from yoloscale.config.freeze import load
from yoloscale.config.slurm_step import job_of, restarts_of
from yoloscale.launch.claim import lock
from yoloscale.launch.outcome import FAILED, INTERRUPTED
from yoloscale.launch.restarts import newest_step
from yoloscale.launch.slurm.facts import facts_of
from yoloscale.launch.slurm.node import run_of
from yoloscale.launch.slurm.verdict import Action, Verdict, decide, start_of
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.slurm_commands import SlurmError, call


def main(arguments: list[str]) -> int:
    """Decide, put it on record, do it; the exit code of the job."""
    folder, code = Path(arguments[0]), int(arguments[1])
    try:
        run = run_of(folder, os.environ)
        config = load(run.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    job, restarts = job_of(os.environ), restarts_of(os.environ)
    assert job is not None, "called by the batch script of a job"
    names = [entry.name for entry in run.checkpoints.iterdir()] if run.checkpoints.is_dir() else []
    step = newest_step(names)
    start = start_of(events.history(run), job, restarts, step)
    verdict = decide(start, facts_of(job), restarts, config.cluster.max_requeues)
    print(f"job {job}: srun ended with {code}; {verdict.action.value}" + (f" ({verdict.cause})" * bool(verdict.cause)))
    return _carry_out(run, job, verdict, step=step, count=start.fruitless + 1, code=code)


def _carry_out(run: RunDirectory, job: str, verdict: Verdict, *, step: int, count: int, code: int) -> int:
    if verdict.action is Action.requeue:
        return _requeue(run, job, verdict, step=step, count=count)
    if verdict.action is Action.leave:
        events.note(run, events.REQUEUED, job=job, by="slurm", step=step, count=count, cause=verdict.cause)
    if verdict.action is Action.cancel:
        _cancel(run, job)
    if verdict.action is Action.give_up:
        error = f"given up after {count - 1} requeues from step {step} without a newer checkpoint"
        _fail(run, error)
    if verdict.action is Action.no_start and _is_free(run):
        _fail(run, f"job {job}: srun ended with {code} before any rank was started; its output tells why")
    return verdict.exit_code


def _requeue(run: RunDirectory, job: str, verdict: Verdict, *, step: int, count: int) -> int:
    """On record first: from the moment that SLURM knows, this process may be killed."""
    events.note(run, events.REQUEUED, job=job, by="yoloscale", step=step, count=count, cause=verdict.cause)
    try:
        call(["scontrol", "requeue", job])
    except SlurmError as error:
        _fail(run, f"job {job} could not be requeued: {error.said}")
        return FAILED
    return verdict.exit_code  # a script that ends now does not undo it


def _cancel(run: RunDirectory, job: str) -> None:
    """The job shall read CANCELLED, also where the ranks stopped before SLURM was told."""
    attempt = events.last_attempt(events.history(run))
    events.note(run, events.CANCELLED)
    events.note(run, events.EXITED, attempt=attempt, exit_code=INTERRUPTED)
    try:
        call(["scancel", job])
    except SlurmError as error:
        print(error, file=sys.stderr)


def _fail(run: RunDirectory, error: str) -> None:
    attempt = events.last_attempt(events.history(run))
    events.note(run, events.FAILED, attempt=attempt, rank=None, error=error, collateral=False, gave_up=True)
    events.note(run, events.EXITED, attempt=attempt, exit_code=FAILED)


def _is_free(run: RunDirectory) -> bool:
    """Whether no other job or machine has this run: then its history is not ours to write."""
    try:
        lock(run).release()
    except ConfigError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
