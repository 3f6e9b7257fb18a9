"""Waiting for what another process, another node or a scheduler does: by looking again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout_s: float, poll_s: float) -> T:
    """The condition's first answer that is true, or its last one when the time is over; asked at least once."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()) and time.monotonic() < deadline:
        time.sleep(poll_s)
    return answer


def retry(act: Callable[[], T], error: type[Exception], timeout_s: float, poll_s: float) -> T:
    """What `act` returns once it no longer raises `error`; the error that it raises when the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return act()
        except error:
            if time.monotonic() >= deadline:
                raise
        time.sleep(poll_s)
