"""A clock for tests that moves only when somebody sleeps: what is timed by it is exact on any machine.

`time()` is the real one, for stamps.
"""

from __future__ import annotations

import time


class FakeTime:
    """Time that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def time(self) -> float:
        return time.time()
