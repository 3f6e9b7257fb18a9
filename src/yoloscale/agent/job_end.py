"""The end of the scheduler's job around this process, and how people are told of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from yoloscale.system.durations import stop_after_s

LeftS = Callable[[], float | None]  # seconds until the job ends, inf without a limit; None: nobody tells
_GIVEN_TIME_S = 30.0  # schedulers count in whole minutes: less is no other limit


class JobEnd:
    """When the ranks are to save and stop because the job around this process ends.

    A job may be given another time limit while it goes on, so the scheduler is asked again before anything is stopped.
    """

    def __init__(self, stop_before_s: float, ask: LeftS) -> None:
        self._stop_before_s, self._ask = stop_before_s, ask
        self._set(self._ask())

    def _set(self, left_s: float | None) -> None:
        self.left_s = math.inf if left_s is None else left_s
        self._end = time.time() + self.left_s
        self.stop_at = time.time() + stop_after_s(self.left_s, self._stop_before_s)

    @property
    def plan(self) -> str:
        """When the ranks will stop, as a sentence."""
        before_s = self.left_s - stop_after_s(self.left_s, self._stop_before_s)
        return f"this job ends in {self.left_s / 60:.0f} minutes: all ranks save and stop {before_s:.0f} s before"

    def is_near(self) -> bool:
        if time.time() < self.stop_at:
            return False
        left_s = self._ask()
        if left_s is None or time.time() + left_s <= self._end + _GIVEN_TIME_S:
            return True
        self._set(left_s)
        return False
