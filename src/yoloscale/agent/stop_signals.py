"""Requests to stop, from signals. The handlers note the request and nothing else; the watching loop acts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from yoloscale.system.signals import CHECKPOINT_SIGNAL, MAY_STAY_IGNORED, STOP_SIGNALS


class StopSignals:
    """While entered, SIGINT, SIGTERM, SIGHUP and SIGUSR1 are counted instead of ending the process. Main thread only.

    What this process was started to ignore stays ignored: SIGHUP under nohup, SIGINT behind a script's `&`. SIGUSR2
    asks ranks for a checkpoint; where it is sent to a whole job, it must not end the launcher.
    """

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []
        self.regroups: Callable[[bool], bool] = lambda is_training: False  # the ranks are to save, but the run goes on
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        assert threading.current_thread() is threading.main_thread(), "signals arrive in the main thread"
        for number in STOP_SIGNALS:
            if number in MAY_STAY_IGNORED and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, self._note)
        self._previous[CHECKPOINT_SIGNAL] = signal.signal(CHECKPOINT_SIGNAL, signal.SIG_IGN)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received.append(signal.Signals(number))

    @property
    def first(self) -> signal.Signals | None:
        """What the run is to be stopped with; a closed terminal asks as politely as SIGTERM does."""
        if not self.received:
            return None
        return signal.SIGINT if self.received[0] is signal.SIGINT else signal.SIGTERM

    @property
    def at_once(self) -> bool:
        """Whether the person pressed Ctrl-C again."""
        return self.received.count(signal.SIGINT) >= 2
