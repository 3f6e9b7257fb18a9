"""The thread of a rank that talks to the store, so that the one that watches never waits for the network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from yoloscale.distributed.hang.detect import ObservedState, State
from yoloscale.distributed.hang.state_store import StateStore
from yoloscale.distributed.peers import Loss


class Pulses:
    """States of ranks and since when their pulse has stood still."""

    def __init__(self) -> None:
        self._moved_at: dict[int, tuple[int, float]] = {}  # rank → (pulse, when it was first seen)

    def observe(self, states: Sequence[State], now_s: float) -> list[ObservedState]:
        for state in states:
            if self._moved_at.get(state.rank, (None, 0.0))[0] != state.pulse:
                self._moved_at[state.rank] = (state.pulse, now_s)
        return [ObservedState(state, now_s - self._moved_at[state.rank][1]) for state in states]


class StateReporter:
    """Publishes this rank's state, asks for news and, while this rank is suspicious, for the others' states.

    Args:
        now_s: the watchdog's clock.
    """

    def __init__(
        self, states: StateStore, mine: State, now_s: Callable[[], float], *, interval_s: float, stale_s: float
    ) -> None:
        self.mine = mine  # replaced by the watchdog
        self.observed_states: list[ObservedState] = []  # of all ranks, while this rank is the observer
        self.hang: str | None = None
        self.loss: Loss | None = None  # of a rank, as it was told first
        self._to_tell: Loss | None = None
        self.answered_at = now_s()
        self._states, self._now_s = states, now_s
        self._interval_s, self._stale_s = interval_s, stale_s
        self._pulses = Pulses()
        self._wake = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="watchdog-reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Publish at once: what this rank said last would be measured by another limit."""
        self._wake.set()

    def tell(self, loss: Loss) -> None:
        """Tell the others of a loss, at once; `loss` is here as soon as that has been done."""
        self._to_tell = loss
        self.hurry()

    @property
    def word(self) -> Loss | None:
        """The loss that counts: the one told first; where the store is gone, too, what this rank knows by itself."""
        return self.loss or (self._to_tell if not self.is_alive else None)

    @property
    def is_alive(self) -> bool:
        """Whether there is a thread that may still tell or hear something."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the thread; one that hangs in the network is left behind."""
        self._is_closing = True
        self._wake.set()
        self._thread.join(2 * self._interval_s)

    def _run(self) -> None:
        try:
            while self.hang is None:
                self._exchange()
                self._wake.wait(self._interval_s)
                if self._is_closing:
                    return
                self._wake.clear()
        except RuntimeError:
            # the store is gone: the others are ending, or its host has died; the watchdog sees that nothing answers
            return

    def _exchange(self) -> None:
        mine = self.mine
        self._states.publish(mine)
        if self.loss is None and self._to_tell is not None:
            self.loss = self._states.tell_loss(self._to_tell)
        if self._states.has_news():
            self.hang = self._states.hang()
            self.loss = self.loss or self._states.loss()
        self.observed_states = self._look_around(mine) if self._is_suspicious(mine) else []
        self.answered_at = self._now_s()

    def _is_suspicious(self, state: State) -> bool:
        """Whether its time is so nearly over that there is just enough left to see whose pulse stands still."""
        return state.age_s >= state.limit_s - self._stale_s - 2 * self._interval_s

    def _look_around(self, mine: State) -> list[ObservedState]:
        observer = self._states.observer(mine)
        if observer == mine.rank:
            return self._pulses.observe(self._states.read(), self._now_s())
        (observed,) = self._pulses.observe([self._states.state_of(observer)], self._now_s())
        if observed.silent_s >= self._stale_s or not self._is_suspicious(observed.state):
            self._states.replace_observer(observer, mine)
        return []
