"""One attempt on one node: start the agent, watch it to its end, say in events.jsonl how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from yoloscale.launch import agent_report, environment, network, stragglers, torchrun
from yoloscale.launch.outcome import INTERRUPTED, STOPPED, AgentEnd, Failure, Outcome, conclude
from yoloscale.launch.process import Agent
from yoloscale.launch.spec import JobSpec
from yoloscale.launch.stop import StopRequests
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.progress import Progress
from yoloscale.runs.tail import Tail, last_lines

POLL_S = 0.1
SETUP_STOP_S = 5.0  # before training starts there is nothing to save
TRAINING_STOP_S = torchrun.SHUTDOWN_TIMEOUT_S + 10.0
FAILURE_GRACE_S = 5.0  # the other ranks may hang in a collective with the dead one
LOG_END_LINES = 20


@dataclass(frozen=True)
class Observer:
    """Who looks on: `watch` is called about ten times a second, `say` when the launcher itself does something."""

    watch: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda line: None


def run_attempt(spec: JobSpec, observer: Observer) -> Outcome:
    """Start the ranks of this node and stay until all of them are gone. Main thread only.

    The first Ctrl-C or SIGTERM lets the ranks save and stop, the second
    Ctrl-C kills them. However this ends, no process of the job is left on this machine.
    """
    run = RunDirectory(spec.run)
    run.attempt_logs(spec.attempt).mkdir(parents=True, exist_ok=True)
    argv, variables = command(spec)
    _write_launch_record(run, spec, argv, variables)
    if spec.node_rank == 0:
        launched = {"attempt": spec.attempt, "host": socket.gethostname(), "pid": os.getpid(), "argv": argv}
        events.record(run, events.ATTEMPT_LAUNCHED, **launched)
    with StopRequests() as requests:
        try:
            full_environment = environment.job_environment(variables, os.environ)
            agent = Agent(argv, full_environment, run.agent_log(spec.attempt, spec.node_rank))
            watched = _Watched(spec, run, agent, requests, observer.say)
            exit_code = watched.until_end(observer.watch)
        finally:
            left = stragglers.kill_all(spec.mark)
        return _close(spec, run, watched, exit_code, left)


def command(spec: JobSpec) -> tuple[list[str], dict[str, str]]:
    """The agent's argv and the variables set for it, as they are on this machine."""
    address: str | None = "127.0.0.1"
    if spec.rdzv_endpoint is not None:
        address = network.address_towards(*network.split_endpoint(spec.rdzv_endpoint))
    interface = network.interface_of(address) if address else None
    argv = torchrun.render(spec, torchrun.installed_features(), local_address=address)
    return argv, environment.job_variables(spec, os.environ, interface=interface)


class _Watched:
    """A running agent and what is known of it."""

    def __init__(
        self, spec: JobSpec, run: RunDirectory, agent: Agent, requests: StopRequests, say: Callable[[str], None]
    ) -> None:
        self.progress = Progress(attempt=spec.attempt)
        self.killed: set[int] = set()
        self._mark = spec.mark
        self._agent = agent
        self._requests = requests
        self._say = say
        self._events = Tail(run.events)
        self._log = run.agent_log(spec.attempt, spec.node_rank)
        self._kill_at: float | None = None
        self._is_stopping = False

    @property
    def stop(self) -> signal.Signals | None:
        return self._requests.first

    def until_end(self, watch: Callable[[], None]) -> int:
        """Poll until the agent has ended; its exit code."""
        while (exit_code := self._agent.wait(POLL_S)) is None:
            self.read_events()
            self._act()
            watch()
        self.read_events()
        watch()
        return exit_code

    def read_events(self) -> None:
        """Fold what the ranks have written since; earlier attempts leave no trace in `progress`."""
        for record in self._events.new():
            self.progress.on_event(record)

    def _act(self) -> None:
        if self.stop is not None and not self._is_stopping:
            self._ask_to_stop(self.stop)
        elif not self._is_stopping and self._kill_at is None and self._has_failed():
            self._kill_at = time.monotonic() + FAILURE_GRACE_S
        if self._requests.at_once or (self._kill_at is not None and time.monotonic() >= self._kill_at):
            self._end_now()

    def _end_now(self) -> None:
        """Whoever was asked has had its time."""
        if self._is_stopping:
            self._say("ending the ranks at once")
            self.killed.update(stragglers.kill_all(self._mark))
        elif closed := self._kill_closed():
            self.killed.update(closed)
            self._kill_at = None
        else:  # a rank of another node has failed, and those here wait for it
            self._is_stopping = True
            self._agent.send(signal.SIGTERM)
            self._kill_at = time.monotonic() + SETUP_STOP_S

    def _ask_to_stop(self, request: signal.Signals) -> None:
        """Pass the request on, once: a second signal would cut short the agent's wait for the ranks."""
        self._is_stopping = True
        is_training = self.progress.is_training
        if is_training:
            self._say("stopping: the ranks save a checkpoint first (Ctrl-C again ends them at once)")
        self._agent.send(request if is_training else signal.SIGTERM)
        self._kill_at = time.monotonic() + (TRAINING_STOP_S if is_training else SETUP_STOP_S)

    def _has_failed(self) -> bool:
        """Whether a rank broke, here or on another node; the ranks stopping in order is something else."""
        if self.progress.stopped is not None or self.progress.finished:
            return False
        return bool(self.progress.failures) or bool(agent_report.closed_pids(_text(self._log)))

    def _kill_closed(self) -> list[int]:
        """Kill the ranks that were told to end and did not; the agent then reports."""
        ours = set(stragglers.processes_of(self._mark))
        closed = [pid for pid in agent_report.closed_pids(_text(self._log)) if pid in ours]
        for pid in closed:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
                os.kill(pid, signal.SIGKILL)
        return closed


def _close(spec: JobSpec, run: RunDirectory, watched: _Watched, exit_code: int, left: list[int]) -> Outcome:
    """Decide how it ended and write what the ranks could not write themselves."""
    log = _text(run.agent_log(spec.attempt, spec.node_rank))
    end = AgentEnd(
        exit_code=exit_code,
        log=log,
        host=socket.gethostname(),
        stop=watched.stop,
        killed={*watched.killed, *left},
        rdzv_endpoint=spec.rdzv_endpoint,
    )
    outcome = conclude(watched.progress, end)
    if outcome.exit_code == INTERRUPTED and not watched.progress.cancelled:
        events.record(run, events.CANCELLED)
    if outcome.exit_code == STOPPED and watched.progress.stopped is None:
        number = watched.stop.name if watched.stop else "SIGTERM"
        events.record(run, events.PREEMPTED, step=watched.progress.step, epoch=watched.progress.epoch, signal=number)
    if outcome.failure is not None:
        failure = _with_log(run, spec, outcome.failure)
        outcome = replace(outcome, failure=failure)
        if not failure.is_recorded:
            _record_failure(run, spec, failure)
    if spec.node_rank == 0:
        events.record(run, events.EXITED, attempt=spec.attempt, exit_code=outcome.exit_code)
    return outcome


def _record_failure(run: RunDirectory, spec: JobSpec, failure: Failure) -> None:
    said = {"rank": failure.rank, "host": failure.host, "exit_code": failure.exit_code, "error": failure.error}
    events.record(run, events.FAILED, attempt=spec.attempt, **said)


def _with_log(run: RunDirectory, spec: JobSpec, failure: Failure) -> Failure:
    """Add the end of the log of whoever failed."""
    log = run.agent_log(spec.attempt, spec.node_rank)
    if failure.rank is not None and run.rank_log(spec.attempt, failure.rank).exists():
        log = run.rank_log(spec.attempt, failure.rank)
    end = tuple(last_lines(log, LOG_END_LINES))
    return replace(failure, log=str(log.relative_to(run.path)), log_end=end)


def _write_launch_record(run: RunDirectory, spec: JobSpec, argv: list[str], variables: dict[str, str]) -> None:
    """job/attempt-k.json: all that is needed to do the same by hand. Of inherited variables the names only."""
    record = {
        "attempt": spec.attempt,
        "job_id": spec.job_id,
        "host": socket.gethostname(),
        "time": round(time.time(), 3),
        "argv": argv,
        "environment": variables,
        "inherited": sorted(os.environ),
        "working_folder": str(Path.cwd()),
    }
    path = run.launch_record(spec.attempt, spec.node_rank)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    beside.write_text(json.dumps(record, indent=1), encoding="utf-8")
    beside.replace(path)


def _text(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
