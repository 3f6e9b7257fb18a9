"""Ranks beside those of a run that goes on: in a second terminal, on another machine, in an element of an array.

A run that predicts has no process group, so they need nobody's leave: they take units that nobody is at. Their launcher
has no lock on the run and says no more in its history than that it comes and goes; what becomes of the run, its own
launcher says.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from yoloscale.agent import environment, leftovers
from yoloscale.agent.attempt import LOG_END_LINES, Observer, command
from yoloscale.agent.attempts import end_of_job, time_limit
from yoloscale.agent.job_end import JobEnd, LeftS
from yoloscale.agent.monitor import POLL_S, TRAINING_STOP_S
from yoloscale.agent.outcome import Failure, Outcome
from yoloscale.agent.spec import NodeSpec, node_spec
from yoloscale.agent.stop_signals import StopSignals
from yoloscale.config.freeze import load
from yoloscale.config.plan import world_size
from yoloscale.config.schema import PredictConfig, RunConfig
from yoloscale.exit_codes import FAILED, FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.tail import last_lines
from yoloscale.system.processes import ChildProcess, describe_exit

CANCELLED = "the run is cancelled"
STOP = "STOP"  # what a rank says that it was stopped with by the file of that name
LOOK_S = 1.0  # between two looks at the run's history


@dataclass
class _Rank:
    number: int
    process: ChildProcess
    exit_code: int | None = None


def run_late(
    run: RunDirectory,
    config: RunConfig,
    observer: Observer,
    *,
    start: str | None = None,
    left_s: LeftS | None = None,
) -> Outcome:
    """Start the ranks of a resolved config for a run that goes on, and stay until they have ended. Main thread only.

    They end with the run, when they are asked to here, at the time limit of this start or job, and when the run is
    cancelled. One that fails is not started again: its unit is done by others. Raises RunLost when another run lies in
    the folder by now.

    Args:
        start: of the job around this process (runs/events/schema.py); None outside of one.
        left_s: as of `run_attempts`.
    """
    run = owned(run)
    attempt = max(events.last_attempt(events.history(run)), 1)
    limit = time_limit(config.cluster, time.time())
    job_end = end_of_job(config.cluster, left_s, limit, observer.say)
    spec = node_spec(config, run.path, attempt=attempt, job_id=uuid.uuid4().hex)
    spec = replace(spec, nodes=1, rdzv_endpoint=None, run_id=run.run_id, start=start)
    spec = replace(spec, stop_at=limit.stop_at, limit_at=limit.limit_at)
    numbers = _reserve(run, spec, first=world_size(load(run.config, of=RunConfig)))
    me: Any = {"attempt": attempt, "host": socket.gethostname(), "pid": os.getpid(), "start": start}
    events.append(run, events.LateLaunched(ranks=tuple(numbers), **me))
    with StopSignals() as requests:
        try:
            ranks = _start(run, spec, numbers)
            outcome = _LateRanks(run, spec, ranks, observer, requests, job_end).until_end()
        finally:
            leftovers.kill_all(spec.mark)
    events.note(run, events.LateExited(exit_code=outcome.exit_code, **me))
    return outcome


def may_take_part(run: RunDirectory, config: RunConfig) -> bool:
    """Whether ranks started on one node may come beside those of a run that somebody else looks after.

    It predicts, and its first ranks are launched: these have its manifest.
    """
    is_launched = events.last_attempt(events.history(run)) > 0
    return isinstance(config, PredictConfig) and config.cluster.nodes == 1 and is_launched


def _reserve(run: RunDirectory, spec: NodeSpec, first: int) -> list[int]:
    """Numbers of ranks that nobody else has in this attempt: whose logs were not there."""
    run.attempt_logs(spec.attempt).mkdir(parents=True, exist_ok=True)
    numbers = list[int]()
    while len(numbers) < spec.procs_per_node:
        try:
            run.rank_log(spec.attempt, first).touch(exist_ok=False)
            numbers.append(first)
        except FileExistsError:
            pass  # another late launcher has it
        first += 1
    return numbers


def _start(run: RunDirectory, spec: NodeSpec, numbers: Sequence[int]) -> list[_Rank]:
    _, variables = command(spec)
    inherited = environment.job_environment(variables | events.handed_on(run), os.environ)
    ranks = []
    for index, number in enumerate(numbers):
        place = {
            "RANK": str(number),
            "WORLD_SIZE": str(numbers[-1] + 1),
            "LOCAL_RANK": str(index),
            "LOCAL_WORLD_SIZE": str(len(numbers)),
        }
        argv = [sys.executable, "-m", "yoloscale.worker", str(spec.run)]
        ranks.append(_Rank(number, ChildProcess(argv, inherited | place, run.rank_log(spec.attempt, number))))
    return ranks


class _LateRanks:
    """The ranks of one late launcher, and what ends them."""

    def __init__(
        self,
        run: RunDirectory,
        spec: NodeSpec,
        ranks: Sequence[_Rank],
        observer: Observer,
        requests: StopSignals,
        job_end: JobEnd | None,
    ) -> None:
        self._run, self._spec, self._ranks = run, spec, ranks
        self._observer, self._requests, self._job_end = observer, requests, job_end
        self._tail, self._look_at = events.EventTail(run), 0.0
        self._tail.history()
        self._is_cancelled = self._is_stopped = False
        self._request: signal.Signals | None = None  # what the ranks were told to stop with
        self._kill_at = math.inf

    def until_end(self) -> Outcome:
        """Watch until no rank is left."""
        while any(_is_running(rank) for rank in self._ranks):
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + LOOK_S
                self._run.glance()
                self._hear()
            if self._request is None and (request := self._asked()) is not None:
                self._stop(request)
            if self._requests.at_once or time.monotonic() >= self._kill_at:
                leftovers.kill_all(self._spec.mark)
            self._observer.watch()
            time.sleep(POLL_S)
        self._observer.watch()
        return self._outcome()

    def _hear(self) -> None:
        """What the run's history says since the last look: the file STOP is gone once its own launcher has ended."""
        for event in self._tail.new():
            self._is_cancelled |= (
                isinstance(event, events.Cancelled) and event.job is None
            )  # the run, not one of its jobs
            self._is_stopped |= isinstance(event, events.Preempted) and event.signal == STOP

    def _asked(self) -> signal.Signals | None:
        """What these ranks are to stop with. At `stop_at` they stop by themselves."""
        if self._requests.first is not None:
            return self._requests.first
        is_over = self._spec.limit_at is not None and time.time() >= self._spec.limit_at
        is_near = self._job_end is not None and self._job_end.is_near()
        return signal.SIGTERM if self._is_cancelled or self._is_stopped or is_over or is_near else None

    def _stop(self, request: signal.Signals) -> None:
        self._observer.say("stopping: the ranks leave the units that they are at")
        self._request, self._kill_at = request, time.monotonic() + TRAINING_STOP_S
        for rank in self._ranks:
            rank.process.send(request)

    def _outcome(self) -> Outcome:
        """The end of these ranks; that the run is finished counts more than how one of them ended."""
        if self._run.result.exists():
            return Outcome(FINISHED)
        if self._is_cancelled:
            return Outcome(INTERRUPTED, reason=CANCELLED)
        if self._request is signal.SIGINT:
            return Outcome(INTERRUPTED)
        broken = [rank for rank in self._ranks if rank.exit_code not in (FINISHED, STOPPED, INTERRUPTED)]
        if not broken or self._request is not None:
            return Outcome(STOPPED)
        return Outcome(FAILED, _failure(self._run, self._spec, broken[0]))


def _is_running(rank: _Rank) -> bool:
    if rank.exit_code is None:
        rank.exit_code = rank.process.wait(0)
    return rank.exit_code is None


def _failure(run: RunDirectory, spec: NodeSpec, rank: _Rank) -> Failure:
    log = run.rank_log(spec.attempt, rank.number)
    assert rank.exit_code is not None, "none is running any more"
    return Failure(
        rank.number,
        socket.gethostname(),
        rank.exit_code,
        describe_exit(rank.exit_code),
        is_recorded=False,
        log=str(log.relative_to(run.path)),
        log_end=tuple(last_lines(log, LOG_END_LINES)),
    )
