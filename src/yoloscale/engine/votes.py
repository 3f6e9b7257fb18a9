"""Stop decisions: each rank may ask, all ranks decide alike, on the same optimiser step.

Signal handlers set a flag and nothing else. The flag travels with the gradients of the next step, so every rank reads
the same sum and stops at the same place.
"""

from __future__ import annotations

import signal
from enum import IntEnum
from types import FrameType


class Stop(IntEnum):
    """Why a run stops before its last epoch; the strongest wins if ranks ask for different ones."""

    none = 0
    time_limit = 1  # `time=` hours are over: evaluate, save, finish
    terminate = 2  # SIGTERM: save, exit 75, to be started again
    interrupt = 3  # SIGINT: save, exit 130


class Ballot:
    """What this rank asks for."""

    def __init__(self) -> None:
        self.wish = Stop.none
        self.signal: str | None = None

    def ask(self, stop: Stop) -> None:
        self.wish = max(self.wish, stop)

    def listen(self) -> None:
        """Turn SIGTERM and SIGINT into wishes. Call once, from the main thread; a second SIGINT quits at once."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.wish is Stop.interrupt:
            raise KeyboardInterrupt
        wish = Stop.interrupt if number == signal.SIGINT else Stop.terminate
        if wish > self.wish:
            self.signal = signal.Signals(number).name
        self.ask(wish)

    def vote(self) -> list[float]:
        """One number per reason, to be summed over the ranks."""
        return [float(self.wish is stop) for stop in (Stop.time_limit, Stop.terminate, Stop.interrupt)]


def decide(sums: list[float]) -> Stop:
    """The decision from the votes of all ranks, the same on every rank."""
    asked = [stop for stop, count in zip((Stop.time_limit, Stop.terminate, Stop.interrupt), sums, strict=True) if count]
    return max(asked, default=Stop.none)
