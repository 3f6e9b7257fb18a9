"""How long this rank itself takes for a step: loading and computing, without the time it waits for the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch

T = TypeVar("T")


class OwnTime(NamedTuple):
    """Seconds of one rank in one step."""

    loading_s: float
    computing_s: float


class StepClock:
    """Call `start`, then `loading` around each load, then `stop` before the step's collective is waited for.

    On CUDA `stop` returns the times of the step before: those are known without waiting for the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        self._started = self._loading_s = 0.0
        if self._is_cuda:
            self._events = [self._pair(), self._pair()]  # of this step and of the one before
            self._loading_before_s: float | None = None

    @staticmethod
    def _pair() -> tuple[torch.cuda.Event, torch.cuda.Event]:
        return torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def start(self) -> None:
        self._loading_s, self._started = 0.0, time.perf_counter()
        if self._is_cuda:
            self._events.reverse()
            self._events[0][0].record()

    def loading(self, load: Callable[[], T]) -> T:
        started = time.perf_counter()
        batch = load()
        self._loading_s += time.perf_counter() - started
        return batch

    def stop(self) -> OwnTime:
        """This rank's own times; on CUDA zeros after the first step."""
        if not self._is_cuda:
            return OwnTime(self._loading_s, time.perf_counter() - self._started - self._loading_s)
        self._events[0][1].record()
        before_s, self._loading_before_s = self._loading_before_s, self._loading_s
        if before_s is None:
            return OwnTime(0.0, 0.0)
        first, last = self._events[1]  # passed long ago: the step before ended with reading its numbers
        return OwnTime(before_s, max(first.elapsed_time(last) / 1000 - before_s, 0.0))
