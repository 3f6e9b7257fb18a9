"""Parts written in a thread of its own, while the rank is at its next unit: one at a time, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from yoloscale.distributed.heartbeat import HEARTBEAT, Phase
from yoloscale.predictions.claims import Claim
from yoloscale.predictions.rows import Row

SAVING_PART = Phase("writing a part")
LOOK_S = 0.2


@dataclass(frozen=True)
class Part:
    """The rows of a unit that is done. `began`: by time.monotonic."""

    claim: Claim
    rows: Sequence[Row]
    began: float


class PartWriter:
    """The thread, and the part that it is at; a context manager, at whose end nothing is left to write.

    A claim is let go of once its part is there, and given back where the disk does not take it. Methods are for the
    main thread.

    Args:
        write: called in the thread, with the number of the unit and its rows.
        said: called in the main thread for each part that is there, with the unit, its images and the seconds it took.
    """

    def __init__(self, write: Callable[[int, Sequence[Row]], None], said: Callable[[int, int, float], None]) -> None:
        self._write, self._said = write, said
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="parts")
        self._part: Part | None = None
        self._written: Future[float] | None = None

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the part; its error is raised unless another one is on its way."""
        try:
            self.finish()
        except Exception:
            if kind is None:
                raise
        finally:
            self._pool.shutdown()

    @property
    def is_busy(self) -> bool:
        return self._part is not None

    def put(self, part: Part, moved_on: Callable[[], None]) -> None:
        """Write a part as soon as the one before is there. Raises that one's error; then this part is not written."""
        self.finish(moved_on)
        self._part = part
        self._written = self._pool.submit(self._seconds, part)

    def look(self) -> None:
        """Keep the claim of the part that is being written; where it is there, say so. Raises its error."""
        if self._part is not None and self._written is not None:
            self._part.claim.beat()
            if self._written.done():
                self._settle(self._part, self._written)

    def finish(self, moved_on: Callable[[], None] = lambda: None) -> None:
        """Wait until nothing is left to write, without a sign of life meanwhile: a disk that hangs is found so.

        `moved_on` is called all the while.
        """
        if self._written is None:
            return
        HEARTBEAT.at(SAVING_PART)
        while self._written is not None and not self._written.done():
            wait((self._written,), LOOK_S)
            self.look()
            moved_on()
        self.look()

    def _seconds(self, part: Part) -> float:
        self._write(part.claim.unit, part.rows)
        return time.monotonic() - part.began

    def _settle(self, part: Part, written: Future[float]) -> None:
        self._part = self._written = None
        try:
            seconds = written.result()
        except OSError:
            part.claim.release()
            raise
        part.claim.release()
        self._said(part.claim.unit, len(part.rows), seconds)
