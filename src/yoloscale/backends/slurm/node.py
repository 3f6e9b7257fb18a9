"""`python -m yoloscale.backends.slurm.node FOLDER`: a launcher on each node of a SLURM job, started by srun.

That of the first node decides what is done, as node 0 does without a scheduler; the others follow it. FOLDER is that of
a run, or of a sweep whose point is chosen by SLURM_ARRAY_TASK_ID.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from yoloscale.agent.attempt import Observer
from yoloscale.agent.attempts import newest_saved, run_attempts
from yoloscale.agent.joining import join_attempts
from yoloscale.agent.late_ranks import may_take_part, run_late
from yoloscale.agent.nodes import wait_for_first_node
from yoloscale.agent.outcome import Outcome
from yoloscale.agent.previous_start import end_leftovers
from yoloscale.agent.restarts import cause
from yoloscale.backends.run_lock import RunInUse, RunLock, lock
from yoloscale.backends.slurm.failures import refuse_after_failures
from yoloscale.backends.slurm.requeue_policy import (
    given_up,
    requeues_without_progress,
    unrecorded_requeue,
    was_cancelled,
)
from yoloscale.config.freeze import load
from yoloscale.config.node_paths import is_checked_later
from yoloscale.config.resuming import said
from yoloscale.config.schema import Config, PredictConfig, RunConfig, Task, ValConfig
from yoloscale.datasets.prepare import check_data
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import BAD_CONFIG, FAILED, FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs import events, node_data
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.endings import record_failure
from yoloscale.runs.identity import RunLost
from yoloscale.runs.status import is_finished
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep
from yoloscale.system.slurm_step import SlurmStep, point_of, step_of
from yoloscale.system.variables import RUN_ID
from yoloscale.system.waiting import retry

_Run = TypeVar("_Run", bound=Config | ValConfig)
LOCK_PATIENCE_S = 90.0  # the launcher of the start before may still be ending, or its node's lock not yet be forgotten
ELEMENT_PATIENCE_S = 10.0  # of an array for one run that predicts: an element that finds it in use takes part in it
SETUP_PATIENCE_S = 600.0  # for the element that has the run to launch its ranks
LOCK_POLL_S = 1.0


def main(arguments: list[str]) -> int:
    """Be the launcher of this node; 0 also after a stop in order, since srun kills the others for anything else."""
    try:
        run = owned(run_of(Path(arguments[0]), os.environ), os.environ.get(RUN_ID))
        step, config = step_of(os.environ), load(run.config, of=RunConfig)
        refuse_wrong_shape(config, step)
        assert step is not None, "checked"
        outcome = _first(run, config, step) if step.node == 0 else _other(run, config, step)
    except ConfigError as error:
        print(error, file=sys.stderr, flush=True)
        return BAD_CONFIG
    except RunLost as lost:
        print(lost, file=sys.stderr, flush=True)
        return FAILED
    why = f": {cause(outcome.failure)}" if outcome.failure is not None else ""
    print(f"node {step.node}: {outcome.state}{why}", flush=True)
    return FINISHED if outcome.exit_code in (FINISHED, STOPPED, INTERRUPTED) else outcome.exit_code


def run_of(folder: Path, environ: Mapping[str, str]) -> RunDirectory:
    """The run that this job, or this element of an array, trains."""
    if not is_sweep(folder):
        return RunDirectory(folder)
    index = point_of(environ)
    if index is None:
        raise ConfigError(Problem(str(folder), "a sweep, in a job that is no array", "submit it with --array"))
    return SweepDirectory(folder).run_of(index)


def refuse_wrong_shape(config: RunConfig, step: SlurmStep | None) -> None:
    """Raise ConfigError unless srun started one task on each node of the run."""
    nodes = config.cluster.nodes
    fewest = config.cluster.min_nodes or nodes
    right = f"srun --nodes={nodes} --ntasks-per-node=1 python -m yoloscale.backends.slurm.node RUN"
    if step is None:
        raise ConfigError(Problem("srun", "this is no task of an srun", right))
    if step.tasks != step.nodes:
        instead = f"{right}; with a task for each rank: srun … python -m yoloscale.worker RUN"
        raise ConfigError(Problem("srun", f"{step.tasks} tasks on {step.nodes} nodes", instead))
    if not fewest <= step.nodes <= nodes:
        raise ConfigError(Problem("srun", f"{step.nodes} nodes, but the run is frozen for {nodes}", right))


def _first(run: RunDirectory, config: RunConfig, step: SlurmStep) -> Outcome:
    is_element = point_of(os.environ) is not None and isinstance(config, PredictConfig)
    run_lock = _lock_of_element(run, config, step) if is_element else _lock(run, step, LOCK_PATIENCE_S)
    try:
        if (outcome := _ended_before(run, step, is_element=is_element)) is not None:
            return outcome
        if run_lock is None:
            return run_late(run, config, Observer(say=_say), start=step.start)
        refuse_after_failures(run, step.job)
        if (outcome := _note_requeue(run, config, step)) is not None:
            return outcome
        end_leftovers(run, _say)
        check_on_node(run, config, step)
        return run_attempts(run, config, Observer(say=_say), step=step)
    finally:
        if run_lock is not None:
            run_lock.release()


def _lock(run: RunDirectory, step: SlurmStep, patience_s: float) -> RunLock:
    return retry(lambda: lock(run, job=step.job), ConfigError, patience_s, LOCK_POLL_S)


def _lock_of_element(run: RunDirectory, config: RunConfig, step: SlurmStep) -> RunLock | None:
    """The lock on the run of an array; None where another element has it whose ranks these may join.

    Elements that start together wait until that one has launched its ranks. Raises RunInUse where they cannot join.
    """
    deadline = time.monotonic() + SETUP_PATIENCE_S
    while True:
        try:
            return _lock(run, step, ELEMENT_PATIENCE_S)
        except RunInUse:
            if was_cancelled(events.history(run), step.job) or may_take_part(run, config):
                return None
            if config.cluster.nodes > 1 or time.monotonic() >= deadline:
                raise


def _ended_before(run: RunDirectory, step: SlurmStep, *, is_element: bool) -> Outcome | None:
    """The end of a run that was over before this start, which SLURM, or a person, has made of a job that was, too."""
    if is_finished(run):
        return Outcome(FINISHED)
    # on the first start, it is an allocation in which the run was stopped and is started again
    is_cancelled = (step.restarts > 0 or is_element) and was_cancelled(events.history(run), step.job)
    return Outcome(INTERRUPTED) if is_cancelled else None


def _note_requeue(run: RunDirectory, config: RunConfig, step: SlurmStep) -> Outcome | None:
    """Put a requeue by SLURM itself on record; an outcome if it is one too many."""
    newest = newest_saved(run)
    if unrecorded_requeue(events.history(run), step.job, step.restarts):
        cause_ = "requeued by SLURM: a node was lost, say"
        events.note(run, events.Requeued(job=step.job, by="slurm", step=newest, cause=cause_))
    count = requeues_without_progress(events.history(run), newest, step.job)
    if count <= config.cluster.max_requeues or config.cluster.max_requeues == 0:
        return None
    record_failure(run, step.job, given_up(count, newest, config.kind))
    return Outcome(FAILED)


def _other(run: RunDirectory, config: RunConfig, step: SlurmStep) -> Outcome:
    check_on_node(run, config, step)
    announced = wait_for_first_node(run, config, step.node, _say, start=step.start)
    return join_attempts(run, config, announced, Observer(say=_say), node_rank=step.node, step=step)


def check_on_node(run: RunDirectory, config: RunConfig, step: SlurmStep) -> None:
    """Check a dataset that is there on the nodes only. Raises ConfigError, which is on record as the end of the run.

    What a run was started with it goes on with, if that is still there: the source is not looked at again then.
    Where the run may go on with fewer nodes only the first one speaks for it.
    """
    if not isinstance(config, (Config, ValConfig)) or not is_checked_later(config):
        return
    assert config.model.task is not None, "the launcher that froze the config has put it in"
    try:
        _check_data(run, config, config.model.task)
    except ConfigError as error:
        where, hint = os.uname().nodename, ""
        if step.node > 0:
            hint = "; cluster.setup is run on the first node: there `srun --ntasks-per-node=1 …` does it on each"
        refusal = ConfigError([replace(problem, instead=problem.instead + hint) for problem in error.problems])
        if step.node == 0 or config.cluster.min_nodes in (None, config.cluster.nodes):
            record_failure(run, step.job, f"on {where}: {refusal}", start=step.start)
        raise refusal from None


def _check_data(run: RunDirectory, config: Config | ValConfig, task: Task) -> None:
    record = node_data.on_this_node(run, config)
    before = record or node_data.on_another(run, config)  # its folder is here, too, where both see one cache
    if before is None:
        data = check_data(config, task, _say)
    else:
        data = check_data(_with(config, opened=before.opened), task, _say)
        if record is None and data.dataset != before.dataset:
            data = check_data(config, task, _say)  # a folder of that name that holds something else
        for line in _changes(config, before.dataset, data.dataset):
            events.warn(run, f"on {os.uname().nodename}, the run goes on with {line}")
    node_data.put_down(run, node_data.NodeData(config.data.source, data.dataset, data.opened))


def _changes(config: Config | ValConfig, before: str | None, now: str | None) -> list[str]:
    """What is to be said of a dataset that is another one by now."""
    if isinstance(config, Config):
        return said(_with(config, dataset=before), _with(config, dataset=now))
    return [] if before == now else ["other images or labels than it was started with"]


def _with(config: _Run, *, dataset: str | None = None, opened: str | None = None) -> _Run:
    origin: Any = replace(config.origin, dataset=dataset, opened=opened)
    return replace(config, origin=origin)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
