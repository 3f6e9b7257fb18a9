"""The points of a search for a pool: those that somebody left unfinished, then new ones."""

from __future__ import annotations

import time
from collections.abc import Callable

from yoloscale.config.errors import ConfigError
from yoloscale.runs import study as studies
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.scheduler import nobody
from yoloscale.runs.status import LOST, Status, statuses
from yoloscale.sweep.directory import take
from yoloscale.sweep.search.search import Search, ask_point, free_index, number_of, reconcile, tell_end

AGAIN_S = 5.0  # a point that another launcher has may be left by it
PATIENCE_S = 600.0  # for others that ask at the same time


class SearchSource:
    """`sweep.pool.Source`. Several launchers may have one over the same search."""

    def __init__(self, search: Search, say: Callable[[str], None], *, failed_only: bool = False) -> None:
        """`failed_only`: train the points that have failed once more, and ask for no others."""
        self._search, self._say, self._failed_only = search, say, failed_only
        self._given = set[str]()
        self._refused = dict[str, float]()  # by name: when others had it
        self._is_exhausted = self._waits = False

    def next(self) -> RunDirectory | None:
        try:
            with take(self._search.sweep, PATIENCE_S):
                reconcile(self._search)
                run = self._unfinished() or self._new()
        except ConfigError as error:
            self._is_exhausted = True
            self._say(f"no other point is started: {error}")
            return None
        if run is not None:
            self._given.add(run.name)
        return run

    def is_exhausted(self) -> bool:
        return self._is_exhausted

    def ended(self, run: RunDirectory, found: Status) -> None:
        if found.is_active:
            self._given.discard(run.name)
            self._refused[run.name] = time.monotonic()
            return
        try:
            with take(self._search.sweep, PATIENCE_S):
                number = number_of(run)
                if number is not None:
                    tell_end(studies.load(self._search.journal), number, run, self._search.settings)
        except (ConfigError, studies.StudyError) as error:
            self._say(f"{run.name}: the study does not know of its end yet: {error}")

    def _unfinished(self) -> RunDirectory | None:
        """A point that somebody left; notes whether others have some that may still be left."""
        runs = [run for run in self._search.sweep.runs() if run.name not in self._given]
        found = list(zip(runs, statuses(runs, nobody), strict=True))
        self._waits = any(status.is_active for _, status in found)
        for run, status in found:
            is_late = time.monotonic() - self._refused.get(run.name, -AGAIN_S) >= AGAIN_S
            if is_late and self._is_open(status):
                return run
        return None

    def _is_open(self, found: Status) -> bool:
        has_failed = found.state == "failed" and found.error != LOST
        if self._failed_only or has_failed:
            return has_failed and self._failed_only
        is_frozen_only = found.attempt == 0 and found.job is None
        return found.state != "finished" and (is_frozen_only or not found.is_active)

    def _new(self) -> RunDirectory | None:
        while not self._failed_only and (index := free_index(self._search)) is not None:
            asked = ask_point(self._search, index)
            if asked is None:
                break
            run, why = asked
            if why is None:
                return run
            self._say(f"{run.name} cannot be trained: {why}")
            reconcile(self._search)
        self._is_exhausted = not self._waits
        return None
