"""How far reads have come and whether they are still wanted, for whoever waits for them in another thread."""

from __future__ import annotations

from threading import Event


class Abandoned(Exception):  # noqa: N818  # reads as what happened
    """Nobody waits for what was being read."""


class Pace:
    """Moved by the threads that read, watched by the one that waits.

    Args:
        progress: another number after each frame that is decoded and each piece of a video that is copied; may be read
            from any thread.
    """

    def __init__(self) -> None:
        self.progress = 0
        self._is_abandoned = Event()

    def move(self) -> None:
        """Say that something was done. Raises Abandoned."""
        if self._is_abandoned.is_set():
            raise Abandoned
        self.progress += 1

    def wait(self, seconds: float) -> None:
        """Sleep. Raises Abandoned, also amid it."""
        if self._is_abandoned.wait(seconds):
            raise Abandoned

    def abandon(self) -> None:
        """Make all reads that run, and all later ones, raise Abandoned as soon as they move or wait."""
        self._is_abandoned.set()
