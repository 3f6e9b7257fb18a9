"""Whose turn it is to write what one rank 0 after another writes: metrics.jsonl, trace.jsonl and results.csv.

Rank 0 may be on another node in the next attempt, and the one before may live on for a while, its node cut off or its
file system not answering. Two that append would overwrite each other's lines on NFS. So the older one looks before it
writes, and stops. What is left is a write that was under way when the next attempt began; it costs one line.
"""

from __future__ import annotations

import time

from yoloscale.runs.directory import RunDirectory

LOOK_S = 1.0


class TurnOver(OSError):  # noqa: N818 - reads as what happened
    """A later attempt has begun. To whoever can do without what it wanted to write, a disk that does not take it."""


class Turn:
    """That of one attempt; attempts count from 1."""

    def __init__(self, run: RunDirectory, attempt: int) -> None:
        self._run, self._attempt = run, attempt
        self._looked_at = -LOOK_S
        self._later = 0

    def check(self) -> None:
        """Raise TurnOver once a later attempt has its folder of logs, which its launcher makes first of all.

        The folder is listed, about once a second: NFS may answer for a minute that a path is not there.
        """
        if not self._later and time.monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = time.monotonic()
            self._later = max((number for number in self._begun() if number > self._attempt), default=0)
        if self._later:
            raise TurnOver(f"attempt {self._later} has begun: attempt {self._attempt} writes nothing more here")

    def _begun(self) -> list[int]:
        try:
            names = [entry.name.removeprefix("attempt-") for entry in self._run.logs.iterdir()]
        except OSError:
            return []
        return [int(name) for name in names if name.isdigit()]
