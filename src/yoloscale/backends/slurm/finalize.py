"""`python -m yoloscale.backends.slurm.finalize FOLDER CODE [ID] [SINCE]`: the end of the job script.

Decides from the run's own events, since neither torchrun nor srun passes the exit codes of ranks on, and SLURM does not
requeue a job that stops by itself when told that it will be preempted. With SINCE, the last attempt before it, the
script was started inside an allocation that somebody has: that is neither requeued nor cancelled. ID is the run's,
where the environment does not tell it: in the folder of another run nothing is decided.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from yoloscale.agent.attempts import newest_saved
from yoloscale.backends.run_lock import lock
from yoloscale.backends.slurm.broken_node import exclude, excluded
from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.backends.slurm.facts import facts_of, has_lost_node, requeue_job
from yoloscale.backends.slurm.job import warning_s
from yoloscale.backends.slurm.node import run_of
from yoloscale.backends.slurm.requeue_policy import (
    Action,
    RequeueDecision,
    Start,
    decide,
    decide_inside,
    decided_by_events,
    given_up,
    requeue,
    start_of,
)
from yoloscale.config.freeze import load
from yoloscale.config.schema import ClusterConfig, RunConfig
from yoloscale.errors import ConfigError
from yoloscale.exit_codes import BAD_CONFIG, FAILED, INTERRUPTED, STOPPED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.endings import record_cancel, record_failure, record_stop
from yoloscale.runs.identity import RunLost
from yoloscale.system.slurm_step import job_of, restarts_of
from yoloscale.system.variables import RUN_ID


def main(arguments: list[str]) -> int:
    """Decide, put it on record, do it; the exit code of the job."""
    folder, code = Path(arguments[0]), int(arguments[1])
    run_id, since = os.environ.get(RUN_ID), arguments[2:]
    if run_id is None and since:  # a site's template, which hands all that the script was given on
        run_id, *since = since
    try:
        run = owned(run_of(folder, os.environ), run_id)
        return _conclude(run, load(run.config, of=RunConfig), code, since)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIG
    except RunLost as lost:  # what becomes of the run that lies there is not this job's business
        print(f"job {job_of(os.environ)}: {lost}", file=sys.stderr)
        return FAILED


def _conclude(run: RunDirectory, config: RunConfig, code: int, since: list[str]) -> int:
    job, restarts = job_of(os.environ), restarts_of(os.environ)
    assert job is not None, "called by the batch script of a job"
    step, history = newest_saved(run), events.history(run)
    if since:
        start = start_of(events.after_attempt(history, int(since[0])), job, restarts, step)
        decision = decide_inside(start, code=code)
        _speak_for_launcher(run, job, start, decision)
    else:
        start = start_of(history, job, restarts, step)
        decision = decided_by_events(start) or _ask(start, job, restarts, config.cluster, code)
    if start.refusal is not None and decision.exit_code == FAILED:
        record_failure(run, job, start.refusal)  # the last word, whatever the other nodes said of their end
    cause = f" ({decision.cause})" if decision.cause else ""
    print(f"job {job}: srun ended with {code}: {decision.action.value}{cause}")
    count = start.requeues_without_progress + 1
    if start.is_late:
        return _carry_out_late(run, job, decision, step=step, count=count)
    if decision.action is Action.give_up:
        record_failure(run, job, given_up(count - 1, step, config.kind))
    return _carry_out(run, job, decision, step=step, count=count, code=code)


def _ask(start: Start, job: str, restarts: int, cluster: ClusterConfig, code: int) -> RequeueDecision:
    """The decision where it takes SLURM."""
    try:
        facts = facts_of(job)
    except SlurmError as error:
        print(f"job {job}: it is not requeued, as SLURM does not answer: {error}", file=sys.stderr)
        return RequeueDecision(Action.end, FAILED if start.word is None else start.word)
    print(f"job {job}: {facts.words}")
    decision = decide(start, facts, restarts, cluster.max_requeues, warning_s=warning_s(cluster), code=code)
    if decision.action is Action.no_start and has_lost_node(os.environ["SLURM_JOB_NODELIST"]):
        return requeue(start, cluster.max_requeues, "a node was lost before the ranks started")
    return decision


def _speak_for_launcher(run: RunDirectory, job: str, start: Start, decision: RequeueDecision) -> None:
    """The last word where the launcher was killed: the allocation goes on, and SLURM cannot tell that the run ended."""
    if start.word is not None or start.refusal is not None or not start.told:
        return
    if decision.exit_code == INTERRUPTED:
        record_cancel(run, job)
    elif decision.exit_code == FAILED:
        record_failure(run, job, f"job {job}: the launcher was killed, and its ranks with it")


def _carry_out(run: RunDirectory, job: str, decision: RequeueDecision, *, step: int, count: int, code: int) -> int:
    run.check()  # SLURM may have taken its time to answer
    if decision.action is Action.requeue:
        if decision.broken is not None:
            return _requeue_elsewhere(run, job, decision, step=step, count=count)
        return _requeue(run, job, decision, step=step, count=count)
    if decision.action is Action.leave:
        events.note(run, events.Requeued(job=job, by="slurm", step=step, count=count, cause=decision.cause))
    if decision.action is Action.end and decision.exit_code == STOPPED:
        record_stop(run, job)
    if decision.action is Action.cancel:
        _cancel(run, job)
    if decision.action is Action.no_start and _is_free(run):
        record_failure(run, job, f"job {job}: srun ended with {code} before any rank was started; its output tells why")
    return decision.exit_code


def _carry_out_late(run: RunDirectory, job: str, decision: RequeueDecision, *, step: int, count: int) -> int:
    """The same of ranks beside those of another launcher: no word on the run, only on this job's being requeued."""
    run.check()
    try:
        if decision.action is Action.requeue:
            events.note(run, _requeued(job, decision, step=step, count=count))
            requeue_job(job, restarts_of(os.environ))
        if decision.action is Action.cancel:
            call(["scancel", job])
    except SlurmError as error:
        print(error, file=sys.stderr)
        return FAILED if decision.action is Action.requeue else decision.exit_code
    return decision.exit_code


def _requeued(job: str, decision: RequeueDecision, *, step: int, count: int) -> events.Requeued:
    excluded_nodes = () if decision.broken is None else (decision.broken,)
    return events.Requeued(
        job=job, by="yoloscale", step=step, count=count, cause=decision.cause, excluded=excluded_nodes
    )


def _requeue_elsewhere(run: RunDirectory, job: str, decision: RequeueDecision, *, step: int, count: int) -> int:
    """The same, and then, as SLURM changes only jobs that wait, without the node whose GPU is broken."""
    assert decision.broken is not None, "asked for"
    nodes = excluded(events.history(run), job, load(run.config, of=RunConfig).cluster.exclude, decision.broken)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # SLURM ends the job meanwhile; it kills whoever takes too long
    code = _requeue(run, job, decision, step=step, count=count)
    if code == FAILED:
        return code
    try:
        exclude(job, nodes)
        events.warn(run, f"{decision.cause}: job {job} leaves out {', '.join(nodes)} from now on; tell whoever runs it")
    except SlurmError as error:
        events.warn(run, f"job {job} could not be told to leave {decision.broken} out: {error.said}")
    return code


def _requeue(run: RunDirectory, job: str, decision: RequeueDecision, *, step: int, count: int) -> int:
    """On record first: from the moment that SLURM knows, this process may be killed."""
    events.note(run, _requeued(job, decision, step=step, count=count))
    try:
        requeue_job(job, restarts_of(os.environ))
    except SlurmError as error:
        record_failure(run, job, f"job {job} could not be requeued: {error.said}")
        return FAILED
    return decision.exit_code  # a script that ends now does not undo it


def _cancel(run: RunDirectory, job: str) -> None:
    """The job shall read CANCELLED, also where the ranks stopped before SLURM was told."""
    record_cancel(run, job)
    try:
        call(["scancel", job])
    except SlurmError as error:
        print(error, file=sys.stderr)


def _is_free(run: RunDirectory) -> bool:
    """Whether no other job or machine has this run: then its history is not ours to write."""
    try:
        lock(run).release()
    except ConfigError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
