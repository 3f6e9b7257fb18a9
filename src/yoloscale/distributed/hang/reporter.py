"""The thread of a rank that talks to the bulletin, so that the one that watches never waits for the network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from yoloscale.distributed.hang.detect import Sighting, State
from yoloscale.distributed.hang.state_store import Bulletin
from yoloscale.distributed.peers import Loss


class Sightings:
    """States of ranks and since when their pulse has stood still."""

    def __init__(self) -> None:
        self._moved_at: dict[int, tuple[int, float]] = {}  # rank → (pulse, when it was first seen)

    def see(self, states: Sequence[State], now_s: float) -> list[Sighting]:
        for state in states:
            if self._moved_at.get(state.rank, (None, 0.0))[0] != state.pulse:
                self._moved_at[state.rank] = (state.pulse, now_s)
        return [Sighting(state, now_s - self._moved_at[state.rank][1]) for state in states]


class Courier:
    """Publishes this rank's state, asks for news and, while this rank is suspicious, for the others' states.

    Args:
        now_s: the watchdog's clock.
    """

    def __init__(
        self, bulletin: Bulletin, mine: State, now_s: Callable[[], float], *, interval_s: float, stale_s: float
    ) -> None:
        self.mine = mine  # replaced by the watchdog
        self.sightings: list[Sighting] = []  # of all ranks, while this rank is the judge
        self.verdict: str | None = None
        self.loss: Loss | None = None  # of a rank, as it was told first
        self._to_tell: Loss | None = None
        self.answered_at = now_s()
        self._bulletin, self._now_s = bulletin, now_s
        self._interval_s, self._stale_s = interval_s, stale_s
        self._seen = Sightings()
        self._wake = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="watchdog-courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Publish at once: what this rank said last would be judged by another measure."""
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
            while self.verdict is None:
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
        self._bulletin.publish(mine)
        if self.loss is None and self._to_tell is not None:
            self.loss = self._bulletin.tell_loss(self._to_tell)
        if self._bulletin.has_news():
            self.verdict = self._bulletin.verdict()
            self.loss = self.loss or self._bulletin.loss()
        self.sightings = self._look_around(mine) if self._is_suspicious(mine) else []
        self.answered_at = self._now_s()

    def _is_suspicious(self, state: State) -> bool:
        """Whether its time is so nearly over that there is just enough left to see whose pulse stands still."""
        return state.age_s >= state.limit_s - self._stale_s - 2 * self._interval_s

    def _look_around(self, mine: State) -> list[Sighting]:
        judge = self._bulletin.judge(mine)
        if judge == mine.rank:
            return self._seen.see(self._bulletin.read(), self._now_s())
        (sighting,) = self._seen.see([self._bulletin.state_of(judge)], self._now_s())
        if sighting.silent_s >= self._stale_s or not self._is_suspicious(sighting.state):
            self._bulletin.replace_judge(judge, mine)
        return []
