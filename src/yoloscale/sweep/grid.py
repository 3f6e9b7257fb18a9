"""The points of a grid as the runs of a pool: those that nobody has finished, each once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from yoloscale.backends.status import status, statuses
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import nobody
from yoloscale.runs.status import Status
from yoloscale.system.formatting import counted

AGAIN_S = 2.0  # until a point that somebody else has is looked at again
AGAIN_IN_JOB_S = 30.0  # a scheduler is asked for it
_OVER = ("finished", "failed", "cancelled")


class GridSource:
    """A pool's source: the points of a list in their order, less those that are over.

    Points that have failed are over unless `failed_only`, which takes them alone; those that a machine took along are
    unfinished. A point that another launcher has is waited for, and trained if that leaves it unfinished without a
    word of a person's.
    """

    def __init__(
        self, runs: Sequence[RunDirectory], say: Callable[[str], None] = lambda line: None, *, failed_only: bool = False
    ) -> None:
        listed = list(zip(runs, statuses(runs), strict=True))
        chosen = [(run, found) for run, found in listed if _is_open(found, failed_only=failed_only)]
        self.left_out = [found for _, found in listed if found.has_failed and not failed_only]
        self.total = len(listed)
        self._said = {run.name: (found.state, found.attempt) for run, found in chosen}
        self._fresh = deque(run for run, _ in chosen)
        self._elsewhere = deque[tuple[float, RunDirectory]]()
        self._say, self._has_said = say, False

    def __len__(self) -> int:
        """Points that are still to be given."""
        return len(self._fresh) + len(self._elsewhere)

    def next(self) -> RunDirectory | None:
        """The next point; None while others have those that are left."""
        while self._fresh:
            run = self._fresh.popleft()
            if not self._is_over(run):
                return run
        if self._elsewhere and not self._has_said:
            self._has_said = True
            self._say(f"another launcher has {counted(len(self._elsewhere), 'point')}: waiting for it to end")
        for _ in range(len(self._elsewhere)):
            again_at, run = self._elsewhere.popleft()
            if time.monotonic() < again_at:
                self._elsewhere.append((again_at, run))
            elif not self._is_over(run):
                return run
        return None

    def is_exhausted(self) -> bool:
        """Whether all have been given, and nobody else has one."""
        return not self._fresh and not self._elsewhere

    def ended(self, run: RunDirectory, found: Status) -> None:
        """With an active status, somebody else has it."""
        if found.is_active:
            wait_s = AGAIN_S if found.job is None else AGAIN_IN_JOB_S
            self._elsewhere.append((time.monotonic() + wait_s, run))

    def _is_over(self, run: RunDirectory) -> bool:
        """Whether another launcher has ended it since it was listed: what failed there is not tried again here."""
        found = status(run, nobody)
        return found.state in _OVER and not found.is_lost and (found.state, found.attempt) != self._said[run.name]


def _is_open(found: Status, *, failed_only: bool) -> bool:
    if failed_only:
        return found.state == "failed"
    return found.state != "finished" and not found.has_failed
