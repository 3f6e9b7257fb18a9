"""The points of a grid as the runs of a pool: those that nobody has finished, each once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from yoloscale.backends.status import status, statuses
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import nobody
from yoloscale.runs.status import Status
from yoloscale.sweep.unfinished import is_left
from yoloscale.system.formatting import counted
from yoloscale.system.remarks import Say, silent

AGAIN_S = 2.0  # until a point that somebody else has is looked at again
AGAIN_IN_JOB_S = 30.0  # a scheduler is asked for it
_OVER = ("finished", "failed", "cancelled")


class GridSource:
    """A pool's source: the points of a list in their order, less those that are over.

    Points that have failed are over unless `failed_only`, which takes them alone; those that a machine took along are
    unfinished. A point that another launcher has is waited for, and trained if that leaves it unfinished without a
    word of a person's.
    """

    def __init__(self, runs: Sequence[RunDirectory], say: Say = silent, *, failed_only: bool = False) -> None:
        listed = list(zip(runs, statuses(runs), strict=True))
        left = [(run, status) for run, status in listed if is_left(status, failed_only=failed_only)]
        self.left_out = [status for _, status in listed if status.has_failed and not failed_only]
        self.total = len(listed)
        self._ends = {run.name: (status.state, status.attempt) for run, status in left}  # of before this launcher
        self._fresh = deque(run for run, _ in left)
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

    def ended(self, run: RunDirectory, status: Status) -> None:
        """Come back to a point with an active status later: somebody else has it."""
        if status.is_active:
            wait_s = AGAIN_S if status.job is None else AGAIN_IN_JOB_S
            self._elsewhere.append((time.monotonic() + wait_s, run))

    def _is_over(self, run: RunDirectory) -> bool:
        """Whether another launcher has ended it since it was listed: what failed there is not tried again here."""
        now = status(run, nobody)
        return now.state in _OVER and not now.is_lost and (now.state, now.attempt) != self._ends[run.name]
