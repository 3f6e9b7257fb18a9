"""Finds the rank that hangs, says which and where, leaves the stacks of all ranks in their logs and ends them.

A thread of every rank looks at its heartbeat. A rank that has not moved on for too long, or has waited for too long,
looks at what the others say of themselves (state_store.py) and finds out whether they hang (detect.py). One rank speaks
for all; all print their stacks and end with exit code 1, so that they can be started again from the newest checkpoint.

A rank that fails tells the others through the store; one that was killed is missed by those on its machine
(`siblings`). Whoever waits then is let go (`release`): its collective returns, PeerLost is raised, its state is saved.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.group import SETUP_TIMEOUT_S
from yoloscale.distributed.hang.abort import can_abort, dump_flight_recorder
from yoloscale.distributed.hang.detect import Hang, State, find_hang, find_hang_alone
from yoloscale.distributed.hang.release import Release
from yoloscale.distributed.hang.reporter import StateReporter
from yoloscale.distributed.hang.state_store import StateStore
from yoloscale.distributed.heartbeat import HEARTBEAT, LOADING, Heartbeat
from yoloscale.distributed.peers import PEERS, Loss
from yoloscale.distributed.siblings import Siblings
from yoloscale.system.waiting import wait_until

T = TypeVar("T")
OnHang = Callable[[Hang], None]

EXIT_CODE = 1
STDERR = 2  # the descriptor: whatever became of sys.stderr, it is the rank's log
ASK_TIMEOUT_S = 5.0  # for one question to the store while the process is being ended
BACKUP_MARGIN_S = 3.0  # after the others have decided
WORD_TICKS = 5  # until a rank that is gone is missed by those on its machine, and they have heard themselves
END_TIMEOUT_S = 30.0  # a disk or a network that hangs does not keep the process from ending


@dataclass(frozen=True)
class Timing:
    """How long a rank may stay in one phase, and what follows from it: all in seconds."""

    timeout_s: float
    setup_timeout_s: float = SETUP_TIMEOUT_S

    @property
    def tick_s(self) -> float:
        return min(1.0, self.timeout_s / 20)

    @property
    def interval_s(self) -> float:
        """Between two reports of a rank: with 1,000 ranks, 200 a second reach the store at the default timeout."""
        return min(max(self.timeout_s / 20, 0.2), 5.0)

    @property
    def stale_s(self) -> float:
        """A rank whose reports stay out for so long does not run."""
        return 6 * self.interval_s


class Watchdog:
    """Watches the main thread of this process, and with the others' watchdogs over all ranks.

    The time that a process was stopped as a whole (SIGSTOP, a suspended job) does not count for itself. The others of
    its job wait for it, so a job has to be suspended as a whole, or for less than the timeout.

    Args:
        states: None at world size 1.
        on_hang: called on one rank, from a thread of the watchdog, before the process ends.
    """

    def __init__(
        self, ranks: Ranks, states: StateStore | None, timing: Timing, on_hang: OnHang, heart: Heartbeat = HEARTBEAT
    ) -> None:
        self._ranks, self._states, self._timing, self._on_hang, self._heart = ranks, states, timing, on_hang, heart
        self._beat, self._since_s, self._pulse = heart.last, 0.0, 0
        self._clock_s, self._ticked_at = 0.0, time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._reporter: StateReporter | None = None
        self._siblings, self._release = Siblings(), Release(PEERS)
        self._has_decided = False  # and the main thread is on its way out
        if states is not None:
            spans = {"interval_s": timing.interval_s, "stale_s": timing.stale_s}
            self._reporter = StateReporter(states, self._look(), lambda: self._clock_s, **spans)

    def start(self) -> None:
        """Begin to watch. Call on every rank, before `group.join`: that may hang, too."""
        if self._reporter is not None:
            self._reporter.start()
            PEERS.announce, PEERS.claim_rescue = self._announce, self._claim_rescue
            PEERS.patience_s = WORD_TICKS * self._timing.tick_s
        self._thread.start()

    def meet(self, processes: Iterable[Mapping[str, Any]]) -> None:
        """Say who takes part (rank, host and pid of each): those on this machine are watched for their end."""
        self._siblings.watch(processes, self._ranks)

    def close(self) -> None:
        """Stop watching; from now on the process may hang unseen."""
        self._stop.set()
        self._thread.join(2 * self._timing.tick_s + 1.0)
        if self._reporter is not None:
            self._reporter.close()
            PEERS.announce, PEERS.claim_rescue = (lambda loss: None), (lambda: False)
            PEERS.patience_s = 0.0
        self._siblings.close()
        faulthandler.cancel_dump_traceback_later()

    def _run(self) -> None:
        while not self._stop.wait(self._timing.tick_s):
            self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        # a late tick means that this process was stopped or starved, and that is no time in which it did not move on
        self._clock_s += min(now - self._ticked_at, 5 * self._timing.tick_s)
        self._ticked_at = now
        mine = self._look()
        self._arm_backup(mine)
        hang = None
        if self._reporter is None:
            hang = find_hang_alone(mine, 0.0)
        elif not self._has_decided:
            before, self._reporter.mine = self._reporter.mine, mine
            if mine.limit_s != before.limit_s:
                self._reporter.hurry()
            self._look_after_others(self._reporter)
            if self._reporter.hang is not None:
                self._end(Hang((), self._reporter.hang), mine, speaks=False)
                return
            hang = self._find_hang(mine, self._reporter)
        if hang is not None:
            self._end(hang, mine, speaks=True)
        if self._release.is_in_vain(mine, self._clock_s):
            print("the collective does not return; stacks:", file=sys.stderr, flush=True)
            faulthandler.dump_traceback(file=STDERR, all_threads=True)
            os._exit(EXIT_CODE)

    def _look_after_others(self, reporter: StateReporter) -> None:
        """Tell of ranks on this machine that are gone, and note what was told first of all."""
        gone = self._siblings.gone()
        if gone and not PEERS.are_leaving and reporter.loss is None:
            reporter.tell(Loss(gone[0], self._ranks.host, "its process has ended without a word", is_gone=True))
        loss = reporter.word
        if loss is not None and PEERS.loss is None and not PEERS.are_leaving and loss.rank != self._ranks.rank:
            PEERS.loss = loss
            print(f"{loss.who} is lost: {loss.error}", file=sys.stderr, flush=True)

    def _announce(self, loss: Loss) -> None:
        """Tell all other ranks of a failure; returns when that is done, or the store does not answer."""
        reporter = self._reporter
        assert reporter is not None
        reporter.tell(loss)
        wait_until(lambda: reporter.loss is not None or not reporter.is_alive, ASK_TIMEOUT_S, 0.02)

    def _look(self) -> State:
        """What this rank has to say of itself now."""
        beat = self._heart.last
        if beat is not self._beat:
            self._beat, self._since_s = beat, self._clock_s
        self._pulse += 1
        is_long = beat.phase.is_long or (beat.phase is not LOADING and not self._heart.is_settled)
        limit_s = self._timing.timeout_s
        return State(
            rank=self._ranks.rank,
            host=self._ranks.host,
            phase=beat.phase.name,
            waits=beat.phase.waits and self._ranks.world_size > 1,
            step=beat.step,
            age_s=self._clock_s - self._since_s,
            limit_s=max(self._timing.setup_timeout_s, limit_s) if is_long else limit_s,
            is_settled=self._heart.is_settled,
            pulse=self._pulse,
        )

    @property
    def _unanswered_s(self) -> float:
        """For how long the store has not answered; 0 at world size 1, where there is none."""
        return self._clock_s - self._reporter.answered_at if self._reporter is not None else 0.0

    def _find_hang(self, mine: State, reporter: StateReporter) -> Hang | None:
        stale_s = self._timing.stale_s
        if self._unanswered_s >= stale_s and mine.age_s >= mine.limit_s + stale_s:
            return find_hang_alone(mine, self._unanswered_s)
        observed_states = reporter.observed_states
        if not observed_states:  # another rank observes
            return None
        return find_hang(mine, observed_states, stale_s, self._ranks.world_size)

    def _arm_backup(self, mine: State) -> None:
        """Have the stacks dumped and the process ended by a thread that needs no interpreter.

        For native code that never gives the interpreter back: then this thread does not run either. A process that
        was stopped as a whole for longer than its limit is ended by it, too, when it goes on.
        """
        seconds = mine.limit_s + self._timing.interval_s + BACKUP_MARGIN_S
        faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)

    def _claim_rescue(self) -> bool:
        states = self._states
        return states is not None and bool(_within(ASK_TIMEOUT_S, lambda: states.claim_rescue(self._ranks.rank)))

    def _end(self, hang: Hang, mine: State, *, speaks: bool) -> None:
        """End this process, or let its main thread end it if that only waits: it may hold what is worth saving.

        The rank that `speaks` does so only if no other one was quicker.
        """
        guard = threading.Timer(END_TIMEOUT_S, os._exit, (EXIT_CODE,))
        guard.daemon = True
        guard.start()
        states, is_first = self._states if self._unanswered_s < self._timing.stale_s else None, None
        if speaks and states is not None:
            is_first = _within(ASK_TIMEOUT_S, lambda: states.report_first(hang.message))
        if speaks and is_first is not False:  # also if nobody answers who could know of another one
            print(hang.message, file=sys.stderr, flush=True)
            _within(ASK_TIMEOUT_S, lambda: self._on_hang(hang))
        else:
            print("the ranks end, for one of them hangs; stacks of this one:", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(file=STDERR, all_threads=True)
        _within(ASK_TIMEOUT_S, dump_flight_recorder)
        holds = states is not None and (is_first is not None or not speaks)
        if mine.waits and can_abort():
            self._let_go(hang, states if holds else None, speaks=bool(is_first))
            guard.cancel()
            return
        if states is not None and holds:
            self._wait_for_stacks(states, speaks=bool(is_first))
        os._exit(EXIT_CODE)

    def _let_go(self, hang: Hang, states: StateStore | None, *, speaks: bool) -> None:
        """Have the main thread raise PeerLost; the other ranks' stacks are waited for meanwhile."""
        self._has_decided = True
        if states is not None:
            wait = threading.Thread(target=self._wait_for_stacks, args=(states,), kwargs={"speaks": speaks})
            wait.daemon = True
            wait.start()
        rank, host = (hang.ranks[0], hang.host) if hang.ranks else (None, "")
        PEERS.loss = PEERS.loss or Loss(rank, host, hang.predicate)

    def _wait_for_stacks(self, states: StateStore, *, speaks: bool) -> None:
        """Stay until every rank has dumped its stacks: who ends first makes the agent stop the others."""
        world_size = self._ranks.world_size
        # two reports until all know, and whoever is stuck in native code until its backup
        hold_s = 2 * self._timing.interval_s + BACKUP_MARGIN_S + (0.0 if speaks else self._timing.interval_s)
        deadline = time.monotonic() + hold_s
        _within(ASK_TIMEOUT_S, states.has_dumped)
        while time.monotonic() < deadline:
            if _within(ASK_TIMEOUT_S, lambda: states.dumped() >= world_size or states.may_end()) is not False:
                break
            time.sleep(self._timing.tick_s)
        if speaks:
            _within(ASK_TIMEOUT_S, states.release)


def _within(seconds: float, call: Callable[[], T]) -> T | None:
    """What the call returns, None if it fails or takes longer: on the way out nothing may keep the process."""
    box: list[T] = []

    def run() -> None:
        with suppress(RuntimeError, OSError):
            box.append(call())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return box[0] if box else None
