"""Writes in the background: one at a time, and whoever brings the next waits for the one before."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait

from yoloscale.system.in_threads import in_background


class BackgroundWriter:
    """Runs one job at a time in a thread. Not for several threads at once; there is no thread while nothing runs."""

    def __init__(self) -> None:
        self._job: Future[None] | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Start a job; first waits until the one before has ended. Raises what the one before raised."""
        self.wait()
        self._job = in_background(job, "checkpoint writer")

    def wait(self) -> None:
        """Return when nothing runs any more. Raises what the job raised."""
        if self._job is None:
            return
        wait([self._job])  # a signal's handler may raise here: the job is still this writer's then
        job, self._job = self._job, None
        job.result()
