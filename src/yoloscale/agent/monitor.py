"""Watching over a running agent: passes on requests to stop, gives ranks their time to save, and ends what hangs.

| state | begins with | and ends |
| --- | --- | --- |
| watching | the start of the agent | with the agent |
| stopping | a request to the launcher, or a signal that the agent got | after the time to save: ranks are killed |
| failed | a rank that broke, here or elsewhere | after FAILURE_GRACE_S, later if one saves: closed ranks are killed |
| lost | another run in the folder: nothing is saved | after SETUP_STOP_S: ranks are killed |
| unmet | a first node that was not reached | after SETUP_STOP_S: ranks are killed |
| over | node 0 has ended the attempt | after SETUP_STOP_S: the agent is told |

Closed ranks are those that the agent has told to end; without any, the agent itself is told. A second Ctrl-C ends the
ranks at once in any of these states.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from yoloscale.agent import leftovers, torchrun
from yoloscale.agent.agent_report import AgentLog
from yoloscale.agent.looks import Looks
from yoloscale.agent.meeting import Meeting
from yoloscale.agent.spec import NodeSpec
from yoloscale.agent.stop_signals import StopSignals
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import EventTail, attempt_of
from yoloscale.runs.progress import Progress
from yoloscale.runs.wording import wording
from yoloscale.system.processes import ChildProcess
from yoloscale.system.signals import STOP_SIGNALS

POLL_S = 0.1
REQUEST_POLL_S = 1.0  # a file may lie on a file system that many share
SETUP_STOP_S = 5.0  # before training starts there is nothing to save
TRAINING_STOP_S = torchrun.SHUTDOWN_TIMEOUT_S + 10.0
FAILURE_GRACE_S = 20.0  # until the other ranks know, and have begun to save; or hang in a collective with the dead one
RESCUE_S = torchrun.SHUTDOWN_TIMEOUT_S  # for a rank that saves then: the agent kills it after as long


class AgentMonitor:
    """A running agent and what is known of it."""

    def __init__(
        self, spec: NodeSpec, run: RunDirectory, agent: ChildProcess, requests: StopSignals, say: Callable[[str], None]
    ) -> None:
        self.progress = Progress(attempt=spec.attempt)
        self.killed: set[int] = set()
        self.is_unmet = False  # node 0 was not reached from here
        self.stop: signal.Signals | None = None  # what the attempt was asked to stop with, by whomever
        self._spec, self._run, self._agent = spec, run, agent
        self._requests, self._say = requests, say
        self._events, self._looks = EventTail(run), Looks()
        self._log = AgentLog(run.agent_log(spec.attempt, spec.node_rank))
        self._meeting = Meeting(spec)
        self._kill_at: float | None = None
        self._rescue_until = 0.0
        self._look_for_request_at = self._look_for_owner_at = 0.0
        self._is_stopping = False
        self._is_past = False

    @property
    def log(self) -> str:
        """All that the agent has printed so far."""
        path = self._run.agent_log(self._spec.attempt, self._spec.node_rank)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    @property
    def has_killed_agent(self) -> bool:
        """Whether the agent did not end when told, and was killed by this launcher."""
        return self._agent.pid in self.killed

    @property
    def is_over(self) -> bool:
        """Whether node 0 has ended the attempt, or started the next one, while another node still waits for it."""
        return self._spec.node_rank > 0 and (self._is_past or self.progress.exited is not None)

    def until_end(self, watch: Callable[[], None]) -> int:
        """Poll until the agent has ended; its exit code."""
        while (exit_code := self._agent.wait(POLL_S)) is None:
            if self._looks.is_due() or self._is_urgent:
                self._look()
            self._act()
            watch()
        self._look()
        if exit_code < 0:
            self._let_ranks_save(watch)
        self.stop = self.stop or self._told_to_agent(exit_code)
        self.read_events()
        watch()
        return exit_code

    def read_events(self) -> None:
        """Fold what the ranks have written since; earlier and later attempts leave no trace in `progress`."""
        for event in self._events.new():
            self._is_past = self._is_past or attempt_of(event) > self._spec.attempt
            if not self._is_past:
                self.progress.on_event(event)

    @property
    def _is_urgent(self) -> bool:
        """Whether something is done now that depends on what the ranks and the agent have come to."""
        is_asked = self._requests.first is not None and not self._is_stopping
        return is_asked or (self._kill_at is not None and time.monotonic() >= self._kill_at)

    def _look(self) -> None:
        self.read_events()
        self._log.look()
        self._looks.made()

    def _act(self) -> None:
        if not self._is_stopping:
            if self._run_is_lost():
                self._stop_agent()  # no request of anybody, and nothing is saved
            elif (request := self._requested()) is not None:
                self._ask_to_stop(request)
            elif (received := self._told_to_agent()) is not None:
                self._await_stop(received)
            elif self._kill_at is None and self._has_failed():
                self._kill_at = time.monotonic() + FAILURE_GRACE_S
                self._rescue_until = time.monotonic() + RESCUE_S
                self._looks.happened()
            elif self._meeting.has_failed():
                self.is_unmet = True
                self._stop_agent()
            elif self._kill_at is None and self.is_over:
                self._kill_at = time.monotonic() + SETUP_STOP_S
        is_over = self._kill_at is not None and time.monotonic() >= self._kill_at and not self._is_rescuing()
        if self._requests.at_once or is_over:
            self._end_now()

    def _is_rescuing(self) -> bool:
        """Whether a rank saves what was done before a failure, and may go on with that."""
        return self.progress.is_rescuing and time.monotonic() < self._rescue_until

    def _end_now(self) -> None:
        """The time to end in order is over: kill the ranks, or those that the agent waits for; else stop the agent."""
        if self._is_stopping:
            self._say("ending the ranks at once")
            self.killed.update(leftovers.kill_all(self._spec.mark))
        elif closed := self._kill_closed():
            self.killed.update(closed)
            self._kill_at = None
        else:  # a rank of another node has failed, and those here wait for it
            self._stop_agent()

    def _stop_agent(self) -> None:
        self._is_stopping = True
        self._agent.send(signal.SIGTERM)
        self._kill_at = time.monotonic() + SETUP_STOP_S

    def _run_is_lost(self) -> bool:
        if time.monotonic() < self._look_for_owner_at:
            return False
        self._look_for_owner_at = time.monotonic() + REQUEST_POLL_S
        return self._run.loss() is not None

    def _requested(self) -> signal.Signals | None:
        """A request that reached the launcher: a signal, the time limit, or a file that no rank looks for yet."""
        if self._requests.first is not None:
            return self._requests.first
        if self._requests.regroups(self.progress.is_training):
            return signal.SIGTERM
        if self._spec.limit_at is not None and time.time() >= self._spec.limit_at:
            return signal.SIGTERM
        if not self.progress.is_training and time.monotonic() >= self._look_for_request_at:
            self._look_for_request_at = time.monotonic() + REQUEST_POLL_S
            if self._run.stop_request.exists():
                return signal.SIGTERM
        return None

    def _told_to_agent(self, exit_code: int | None = None) -> signal.Signals | None:
        """A signal that somebody else sent to the agent, as a scheduler does. It passes such a signal on by itself."""
        if self._is_stopping:
            return None
        received = self._log.death_signal
        if received is None and exit_code is not None and -exit_code in STOP_SIGNALS:  # before it listened
            received = signal.Signals(-exit_code)
        return signal.SIGINT if received is signal.SIGINT else signal.SIGTERM if received else None

    def _ask_to_stop(self, request: signal.Signals) -> None:
        """Pass the request on, once: a second signal would cut short the agent's wait for the ranks."""
        self._await_stop(request)
        self._agent.send(request if self.progress.is_training else signal.SIGTERM)

    def _await_stop(self, request: signal.Signals) -> None:
        self._is_stopping = True
        self._looks.happened()
        self.stop = request
        if self.progress.is_training:
            stops = wording(self.progress.kind).stops
            self._say(f"stopping: {stops} (Ctrl-C again ends them at once)")
        self._kill_at = time.monotonic() + (TRAINING_STOP_S if self.progress.is_training else SETUP_STOP_S)

    def _has_failed(self) -> bool:
        """Whether a rank broke, here or on another node; the ranks stopping in order is something else."""
        if self.progress.stopped is not None or self.progress.finished:
            return False
        return bool(self.progress.failures) or bool(self._log.closed_pids)

    def _kill_closed(self) -> list[int]:
        """Kill the ranks that were told to end and did not; the agent then reports."""
        ours = set(leftovers.processes_of(self._spec.mark))
        closed = [pid for pid in self._log.closed_pids if pid in ours]
        for pid in closed:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
                os.kill(pid, signal.SIGKILL)
        return closed

    def _let_ranks_save(self, watch: Callable[[], None]) -> None:
        """The agent was killed, and the kernel has told its ranks: what they can still save is not done again."""
        deadline = time.monotonic() + (FAILURE_GRACE_S if self.progress.is_training else 0.0)
        self._rescue_until = time.monotonic() + RESCUE_S
        while (time.monotonic() < deadline or self._is_rescuing()) and not self._requests.at_once:
            if not leftovers.processes_of(self._spec.mark):
                break
            self.read_events()
            watch()
            time.sleep(POLL_S)
