"""A start of a run: attempt after attempt until it finishes, stops on request, or fails without getting any further."""

from __future__ import annotations

import contextlib
import math
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from yoloscale.agent.attempt import Ended, Observer, run_attempt
from yoloscale.agent.job_end import JobEnd, LeftS
from yoloscale.agent.monitor import POLL_S
from yoloscale.agent.node_group import Change, NodeGroup
from yoloscale.agent.outcome import Failure, Outcome, failed
from yoloscale.agent.restarts import Restarts, cause, is_device_fault, may_restart, newest_step
from yoloscale.agent.spec import JobStep, NodeSpec, node_spec
from yoloscale.agent.stop_signals import StopSignals
from yoloscale.config.schema import ClusterConfig, RunConfig
from yoloscale.exit_codes import FAILED, INTERRUPTED, STOPPED
from yoloscale.predictions import parts
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.status import read_progress
from yoloscale.runs.wording import wording
from yoloscale.system.durations import limit_s, stop_after_s
from yoloscale.system.waiting import wait_until


@dataclass(frozen=True)
class TimeLimit:
    """Times of day, in seconds since the epoch; None without a limit. Restarts do not move them."""

    stop_at: float | None = None  # the ranks save and stop
    limit_at: float | None = None  # whatever is still there is stopped

    @property
    def is_near(self) -> bool:
        """Whether another attempt would be stopped as soon as it trains."""
        return self.stop_at is not None and time.time() >= self.stop_at


def time_limit(cluster: ClusterConfig, started_at: float) -> TimeLimit:
    """The limit of a start, from a validated config. A scheduler that starts ranks keeps it, and warns before it."""
    if not cluster.is_here or cluster.time is None:
        return TimeLimit()
    limit = limit_s(cluster.time)
    return TimeLimit(started_at + stop_after_s(limit, cluster.stop_before_s), started_at + limit)


def end_of_job(
    cluster: ClusterConfig, left_s: LeftS | None, limit: TimeLimit, say: Callable[[str], None]
) -> JobEnd | None:
    """When a start on a node of somebody's job is to stop; a line if that is before the limit of the start.

    `left_s`: seconds until that job ends (backends/registry.py); None where there is none.
    """
    if left_s is None:
        return None
    end = JobEnd(cluster.stop_before_s, left_s)
    if end.stop_at < (limit.stop_at or math.inf):
        say(end.plan)
    return end


def next_spec(run: RunDirectory, config: RunConfig, *, limit: TimeLimit | None = None) -> NodeSpec:
    """What this machine, as the first or only node, starts next."""
    attempt = events.last_attempt(events.history(run)) + 1
    spec = node_spec(config, run.path, attempt=attempt, job_id=uuid.uuid4().hex)
    times = limit or TimeLimit()
    run_id = run.run_id if run.owner is not None else None
    return replace(spec, run_id=run_id, stop_at=times.stop_at, limit_at=times.limit_at)


def on_step(spec: NodeSpec, step: JobStep | None) -> NodeSpec:
    """The spec on the nodes that the scheduler gave, if one did."""
    if step is None:
        return spec
    endpoint = f"{step.first_host}:{step.port}" if spec.nodes > 1 else None
    return replace(spec, rdzv_endpoint=endpoint, start=step.start)


def run_attempts(
    run: RunDirectory,
    config: RunConfig,
    observer: Observer,
    *,
    step: JobStep | None = None,
    left_s: LeftS | None = None,
) -> Outcome:
    """Start a run on the first or only node and stay until it ends. Main thread only; the run is locked.

    Ranks that crash, are killed, or hang until their time-out are started again, all of them, from the newest
    checkpoint or the parts that are there, at most `cluster.max_restarts` times without another one in between. Raises
    RunLost when the folder is another run's than the one that owns `run`; its ranks are gone then.

    Args:
        step: where a scheduler has started this process; None on a machine of one's own.
        left_s: seconds until the job of somebody's own around this process ends; None outside of one.
    """
    with StopSignals() as requests:
        start = _Start(run, config, observer, requests, step=step, left_s=left_s)
        with contextlib.closing(start.nodes):
            return start.until_end()


class _Start:
    """One start: what stays the same from attempt to attempt."""

    def __init__(
        self,
        run: RunDirectory,
        config: RunConfig,
        observer: Observer,
        requests: StopSignals,
        *,
        step: JobStep | None,
        left_s: LeftS | None,
    ) -> None:
        self._run, self._config, self._outer, self._requests = run, config, observer, requests
        self._observer = observer = Observer(self._watch, observer.say)
        self._step = step
        self._limit = time_limit(config.cluster, time.time())
        self._job_end = end_of_job(config.cluster, left_s, self._limit, observer.say)
        self.nodes = NodeGroup(run, config, observer, requests, step)

    def _watch(self) -> None:
        """The end of the job around this start asks as the scheduler would."""
        self._outer.watch()
        if self._job_end is not None and self._requests.first is None and self._job_end.is_near():
            self._requests.received.append(signal.SIGTERM)

    def until_end(self) -> Outcome:
        restarts = Restarts(self._config.cluster.max_restarts, words=wording(self._config.kind))
        while True:
            spec = on_step(next_spec(self._run, self._config, limit=self._limit), self._step)
            attempt = spec.attempt
            group_spec = self.nodes.meet(spec, lambda: self._stop_request() is not None)
            if group_spec is None:
                return self._stop(attempt, self._stop_request() or signal.SIGTERM)
            if not isinstance(group_spec, NodeSpec):  # too few nodes came
                return self._end(attempt, group_spec)
            ended = run_attempt(group_spec, self.nodes.observer, self._requests)
            if (change := self.nodes.change(ended)) is not None:
                if (request := self._stop_request()) is None:
                    self._say_regroups(attempt, ended.outcome.exit_code, change)
                    continue
                if request is signal.SIGINT:
                    return self._stop(attempt, request)
            failure = self._worth_a_restart(ended)
            if failure is None:
                return self._end(attempt, ended.outcome)
            restarts = restarts.after(failure, newest_saved(self._run))
            if restarts.are_used_up:
                return self._give_up(attempt, restarts)
            request = self._stop_request()
            if request is None:
                self._say_goes_on(attempt, failure, restarts)
                request = self._pause(restarts.pause_s)
            if request is not None:
                return self._stop(attempt, request)

    def _worth_a_restart(self, ended: Ended) -> Failure | None:
        """The failure, also if somebody has asked for a stop: that is what the start then ends with."""
        cluster, failure = self._config.cluster, ended.outcome.failure
        is_requeued = self._step is not None and cluster.max_requeues > 0  # without the node of a broken device
        if is_requeued and failure is not None and is_device_fault(failure.error):
            return None
        return failure if cluster.max_restarts > 0 and may_restart(ended.outcome, ended.was_training) else None

    def _end(self, attempt: int, outcome: Outcome) -> Outcome:
        self._run.check()
        if outcome.exit_code in (STOPPED, INTERRUPTED):
            self._run.stop_request.unlink(missing_ok=True)
        events.note(self._run, events.Exited(attempt=attempt, exit_code=outcome.exit_code))
        return outcome

    def _give_up(self, attempt: int, restarts: Restarts) -> Outcome:
        first = restarts.first
        assert first is not None, "there was a failure"
        event = replace(
            failed(first, attempt),
            error=f"{first.error} ({restarts.reason})",
            log=first.log,
            gave_up=True,
            restarts=restarts.max_restarts,
            step=restarts.step,
        )
        events.note(self._run, event)
        return self._end(attempt, Outcome(FAILED, first, restarts.reason))

    def _say_goes_on(self, attempt: int, failure: Failure, restarts: Restarts) -> None:
        events.append(self._run, events.Exited(attempt=attempt, exit_code=FAILED, goes_on=True))
        restarted = events.Restarted(
            attempt=attempt + 1,
            step=newest_saved(self._run),
            cause=cause(failure),
            rank=failure.rank,
            host=failure.host,
            exit_code=failure.exit_code,
            restarts=restarts.count,
            max_restarts=restarts.max_restarts,
        )
        events.append(self._run, restarted)

    def _say_regroups(self, attempt: int, exit_code: int, change: Change) -> None:
        """The ranks have stopped for it, or a node that came could not start; this counts as no restart."""
        step = newest_saved(self._run)
        events.append(self._run, events.Exited(attempt=attempt, exit_code=exit_code, goes_on=True))
        events.append(self._run, events.Regrouped(attempt=attempt + 1, step=step, **asdict(change)))

    def _pause(self, seconds: float) -> signal.Signals | None:
        """Let time pass; what the run is to be stopped with, if somebody asked meanwhile."""

        def look() -> signal.Signals | None:
            if (request := self._stop_request()) is None:
                self._run.glance()
                self._observer.watch()
            return request

        return wait_until(look, seconds, POLL_S)

    def _stop_request(self) -> signal.Signals | None:
        if self._requests.first is not None:
            return self._requests.first
        return signal.SIGTERM if self._limit.is_near or self._run.stop_request.exists() else None

    def _stop(self, attempt: int, request: signal.Signals) -> Outcome:
        """Stop between two attempts: what there is, is saved already."""
        progress = read_progress(self._run)
        if request is signal.SIGINT or progress.cancelled:
            if not progress.cancelled:
                events.note(self._run, events.Cancelled())
            return self._end(attempt, Outcome(INTERRUPTED))
        outcome = Outcome(STOPPED)
        preempted = events.Preempted(
            attempt=attempt,
            step=newest_saved(self._run),
            epoch=progress.epoch,
            signal=request.name,
            outcome=outcome.state,
            saved=False,  # no step was done since the failure
        )
        events.note(self._run, preempted)
        return self._end(attempt, outcome)


def newest_saved(run: RunDirectory) -> int:
    """The step of a run's newest checkpoint; of one that predicts, how many parts there are; 0 without any."""
    if run.predictions.is_dir():
        return len(parts.done(run.path))
    return newest_step(entry.name for entry in run.checkpoints.iterdir()) if run.checkpoints.is_dir() else 0
