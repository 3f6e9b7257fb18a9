"""Being one of the other nodes: this node's part of attempt after attempt, for as long as node 0 goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from yoloscale.agent.attempt import Observer, run_attempt
from yoloscale.agent.attempts import on_step, time_limit
from yoloscale.agent.looks import Looks
from yoloscale.agent.nodes import FIRST_NODE_TIMEOUT_S, POLL_S, Announcement, newest_announcement, refuse_if_different
from yoloscale.agent.outcome import Outcome
from yoloscale.agent.presence import Answer
from yoloscale.agent.spec import JobStep, NodeSpec, among, node_spec
from yoloscale.agent.stop_signals import StopSignals
from yoloscale.config.schema import RunConfig
from yoloscale.exit_codes import FAILED, FINISHED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.status import live_launcher, read_progress

UNMET_S = 30.0  # for an attempt that follows one whose first node was not reached
LOOK_S = 1.0  # between two looks for node 0 itself


def joining_spec(run: RunDirectory, config: RunConfig, announced: Announcement, node_rank: int) -> NodeSpec:
    """What another node starts to join what node 0 has started."""
    spec = node_spec(config, run.path, attempt=announced.attempt, job_id=announced.job_id, node_rank=node_rank)
    spec = replace(spec, run_id=run.run_id if run.owner is not None else None)
    return among(spec, announced.members) if announced.members is not None else spec


def join_attempts(
    run: RunDirectory,
    config: RunConfig,
    announced: Announcement,
    observer: Observer,
    *,
    node_rank: int,
    step: JobStep | None = None,
) -> Outcome:
    """Take part in an attempt and in those that node 0 starts after it, until the run ends. Main thread only.

    Ends as node 0 ends; by itself when it is asked to stop here, or when node 0 is gone. Raises ConfigError if node 0
    was started anew with another config, and RunLost when the folder is not this run's any more.
    """
    run = owned(run, None if run.owner is None else run.run_id)
    limit = time_limit(config.cluster, time.time())
    answer = Answer(run, config, node_rank, announced.start)
    observer = answering(answer, observer)
    with contextlib.closing(answer), StopSignals() as requests:
        while True:
            spec = joining_spec(run, config, announced, node_rank)
            spec = on_step(replace(spec, stop_at=limit.stop_at, limit_at=limit.limit_at), step)
            outcome = run_attempt(spec, observer, requests).outcome
            if outcome.exit_code == FINISHED:
                return outcome
            # the next attempt may be on its way when this one cannot be met any more; else it is the network, say so
            is_unmet = outcome.failure is not None and outcome.failure.is_unmet
            patience_s = UNMET_S if is_unmet else FIRST_NODE_TIMEOUT_S + config.cluster.timeout_s
            follows = await_next(run, spec, observer, requests, patience_s, is_refused=lambda: answer.is_refused)
            if answer.is_refused:
                refuse_if_different(run, config)
            if follows is None:
                return _as_node_0(run, outcome)
            refuse_if_different(run, config)
            announced = follows


def answering(answer: Answer, observer: Observer) -> Observer:
    """An observer that lets node 0 know that this node is there."""

    def watch() -> None:
        answer.beat()
        observer.watch()

    return Observer(watch, observer.say)


def await_next(
    run: RunDirectory,
    spec: NodeSpec,
    observer: Observer,
    requests: StopSignals,
    patience_s: float,
    *,
    is_refused: Callable[[], bool] = lambda: False,
) -> Announcement | None:
    """The next attempt; None if node 0 has said its last word, is gone, or says nothing, or a stop was asked for here.

    `patience_s` is longer than a collective takes to time out: only then may node 0 know that the attempt has failed.
    A run that goes on without this node is waited for as long as it shows signs of life.
    """
    deadline, heard_at = time.monotonic() + patience_s, None
    look_at = time.monotonic()
    tail, looks = events.EventTail(run), Looks(POLL_S)
    while requests.first is None and not is_refused() and time.monotonic() < deadline:
        if not looks.is_due():
            observer.watch()
            time.sleep(POLL_S)
            continue
        run.glance()
        announced = newest_announcement(run, spec.node_rank, tail)
        if announced is not None and announced.start == spec.start:
            return announced
        if (exited := _last_exit(tail)) is not None and not exited.goes_on:
            return None
        if time.monotonic() >= look_at:
            look_at = time.monotonic() + LOOK_S
            progress = read_progress(run, tail)
            launcher = live_launcher(progress)
            if launcher is not None and launcher[2] is False:
                observer.say("node 0 is gone, and with it the run")
                return None
            if progress.attempt > spec.attempt and progress.updated_at != heard_at:  # it came too late for this one
                deadline, heard_at = time.monotonic() + patience_s, progress.updated_at
    return None


def _as_node_0(run: RunDirectory, outcome: Outcome) -> Outcome:
    """This node's outcome, with the exit code that node 0 gave the whole run."""
    exited = _last_exit(events.EventTail(run))
    code = exited.exit_code if exited is not None and not exited.goes_on else outcome.exit_code
    if code == outcome.exit_code:
        return outcome
    return Outcome(code, outcome.failure if code == FAILED else None)


def _last_exit(tail: events.EventTail) -> events.Exited | None:
    """How node 0 has ended its newest attempt, if it has."""
    history = tail.history()
    newest = events.of_attempt(history, events.last_attempt(history))
    return next((event for event in reversed(newest) if isinstance(event, events.Exited)), None)
