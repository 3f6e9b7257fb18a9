"""Stop decisions: each rank may ask, all ranks decide alike, on the same optimiser step.

Signal handlers set a flag and nothing else. The flag travels with the gradients of the next step, so every rank reads
the same sum and stops at the same place.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from enum import IntEnum
from types import FrameType

from yoloscale.system.signals import CHECKPOINT_SIGNAL, MAY_STAY_IGNORED, STOP_SIGNALS

SAME_INTERRUPT_S = 1.0
ASK_EACH_S = 1.0  # files may lie on a file system that many machines share


class Stop(IntEnum):
    """Why a run stops before its last epoch; the strongest wins if ranks ask for different ones."""

    none = 0
    time_limit = 1  # `time=` hours are over: evaluate, save, finish
    terminate = 2  # SIGTERM, SIGHUP, SIGUSR1, a STOP file, the end of the allotted time: save, exit 75
    interrupt = 3  # SIGINT: save, exit 130


STOPS = (Stop.time_limit, Stop.terminate, Stop.interrupt)
REQUESTS = len(STOPS) + 1  # numbers that travel with the gradients of a step: one a reason, one for a checkpoint


class StopRequests:
    """What this rank asks for."""

    def __init__(self) -> None:
        self.stop = Stop.none
        self.wants_checkpoint = False
        self.reason: str | None = None  # of the strongest request: a signal's name, or what `watch` was told
        self._watched: list[tuple[str, Callable[[], bool]]] = []
        self._asked_at = self._interrupted_at = 0.0

    def ask(self, stop: Stop, reason: str | None = None) -> None:
        """Ask all ranks to stop at the end of the step that runs now."""
        if stop > self.stop:
            self.stop, self.reason = stop, reason

    def watch(self, reason: str, is_asked: Callable[[], bool]) -> None:
        """Ask to stop with a checkpoint as soon as `is_asked` says so; it is called about once a second."""
        self._watched.append((reason, is_asked))

    def listen(self) -> None:
        """Turn signals into requests; SIGUSR2 into that for a checkpoint. Call once, from the main thread.

        A second SIGINT quits at once; one that comes within a second is the first one again: a terminal and srun send
        it to the agent, too, which passes it on. SIGHUP and SIGINT that this process was started to ignore (nohup, a
        script's `&`) stay ignored.
        """
        for number in STOP_SIGNALS:
            if not (number in MAY_STAY_IGNORED and signal.getsignal(number) is signal.SIG_IGN):
                signal.signal(number, self._on_signal)
        signal.signal(CHECKPOINT_SIGNAL, self._on_request)

    def stop_listening(self) -> None:
        """Let signals end this process as where nobody listens. Raises KeyboardInterrupt if one asked for a stop."""
        for number in STOP_SIGNALS:
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
        if self.stop is not Stop.none:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self.stop is Stop.interrupt and time.monotonic() - self._interrupted_at >= SAME_INTERRUPT_S:
                raise KeyboardInterrupt
            if self.stop is not Stop.interrupt:
                self._interrupted_at = time.monotonic()
        name = signal.Signals(number)
        self.ask(Stop.interrupt if name is signal.SIGINT else Stop.terminate, name.name)

    def _on_request(self, _number: int, _frame: FrameType | None) -> None:
        self.wants_checkpoint = True

    def numbers(self) -> list[float]:
        """One number per reason to stop and one for a checkpoint, to be summed over the ranks."""
        now = time.monotonic()
        if self._watched and now - self._asked_at >= ASK_EACH_S:
            self._asked_at = now
            for reason, is_asked in self._watched:
                if is_asked():
                    self.ask(Stop.terminate, reason)
        wants = self.wants_checkpoint
        if wants:  # not always: a signal between reading and clearing would be lost
            self.wants_checkpoint = False
        return [*(float(self.stop is stop) for stop in STOPS), float(wants)]


def agree(sums: list[float]) -> tuple[Stop, bool]:
    """The decision from the summed requests, the same on every rank: why to stop, and whether to save."""
    *counts, wants = sums
    return max((stop for stop, count in zip(STOPS, counts, strict=True) if count), default=Stop.none), bool(wants)
