"""The points of a search for a pool: those that somebody left unfinished, then new ones."""

from __future__ import annotations

import time

from yoloscale.errors import ConfigError, Problem
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import nobody
from yoloscale.runs.status import Status, statuses
from yoloscale.sweep.directory import take
from yoloscale.sweep.search.search import Search, ask_point, forget_removed, free_index, reconcile
from yoloscale.sweep.unfinished import is_left
from yoloscale.system.remarks import Say

AGAIN_S = 5.0  # a point that another launcher has may be left by it
PATIENCE_S = 600.0  # for others that ask at the same time


class SearchSource:
    """`sweep.pool.Source`. Several launchers may have one over the same search."""

    def __init__(self, search: Search, say: Say, *, failed_only: bool = False) -> None:
        """`failed_only`: train the points that have failed once more, and ask for no others."""
        self._search, self._say, self._failed_only = search, say, failed_only
        points = statuses(search.sweep.runs(), nobody)
        self._cancelled = {each.name: each.attempt for each in points if each.state == "cancelled"}  # these go on
        self.left_out = [each for each in points if each.has_failed and not failed_only]
        left = sum(is_left(each, failed_only=failed_only) for each in points)
        self._left = left if failed_only else search.total - len(points) + left
        self._given, self._running = set[str](), set[str]()
        self._error: ConfigError | None = None
        self._refused = dict[str, float]()  # by name: when others had it
        self._is_exhausted = self._waits = self._has_begun = False

    def __len__(self) -> int:
        """How many points were left when this was made."""
        return self._left

    @property
    def total(self) -> int:
        """How many points the search has when it is over."""
        return self._search.total

    def next(self) -> RunDirectory | None:
        if self._error is not None:
            return None
        try:
            with take(self._search.sweep, PATIENCE_S):
                if not self._has_begun and not self._failed_only:
                    forget_removed(self._search)
                self._has_begun = True
                reconcile(self._search)
                run = self._unfinished() or self._new()
        except (ConfigError, OSError) as error:  # a full disk, say: points that train go on
            problem = Problem(str(self._search.sweep.path), str(error), "once it can be written, the same again")
            self._error = error if isinstance(error, ConfigError) else ConfigError(problem)
            return None
        if run is not None:
            self._given.add(run.name)
            self._running.add(run.name)
        return run

    def is_exhausted(self) -> bool:
        """Whether no point will come any more. Raises ConfigError once those that run are over, if the study is why."""
        if self._error is not None and not self._running:
            raise self._error
        return self._is_exhausted or self._error is not None

    def ended(self, run: RunDirectory, status: Status) -> None:
        self._running.discard(run.name)
        if status.is_active:
            self._given.discard(run.name)
            self._refused[run.name] = time.monotonic()
            return
        try:
            with take(self._search.sweep, PATIENCE_S):
                reconcile(self._search)
        except (ConfigError, OSError) as error:
            self._say(f"{run.name}: the study does not know of its end yet: {error.__cause__ or error}")

    def _unfinished(self) -> RunDirectory | None:
        """A point that somebody left; notes whether others have some that may still be left."""
        runs = [run for run in self._search.sweep.runs() if run.name not in self._given]
        points = list(zip(runs, statuses(runs, nobody), strict=True))
        self._waits = any(status.is_active for _, status in points)
        for run, status in points:
            if not self._is_open(status):
                continue
            if time.monotonic() - self._refused.get(run.name, -AGAIN_S) >= AGAIN_S:
                return run
            self._waits = True  # by its files nobody has it yet, or any more, but somebody holds its lock
        return None

    def _is_open(self, status: Status) -> bool:
        if status.state == "cancelled" and self._cancelled.get(status.name) != status.attempt:
            return False  # by a person, while this launcher is at work
        return is_left(status, failed_only=self._failed_only) and not status.is_taken

    def _new(self) -> RunDirectory | None:
        while not self._failed_only and (index := free_index(self._search)) is not None:
            point = ask_point(self._search, index)
            if point is None:
                break
            run, why = point
            if why is None:
                return run
            self._say(f"{run.name} cannot be trained: {why}")
            reconcile(self._search)
        self._is_exhausted = not self._waits
        return None
