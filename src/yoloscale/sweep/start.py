"""The front door of a sweep: points, or a search, as `train -m` asks for them; and what is left of it, submitted.

request = sweep_request(line, say)          nothing is made yet
with request.take(say) as taken:            prepared, frozen, locked
    submit_rest(taken.directory, …)         or, after it, sweep/local.py: points side by side on this machine
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from yoloscale.backends.base import JobRequest
from yoloscale.config.compose.flags import Flags, parsed
from yoloscale.config.quoting import quote_odd
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep, read
from yoloscale.sweep.configure import ConfiguredSweep, configure_all
from yoloscale.sweep.directory import TakenSweep
from yoloscale.sweep.freeze import freeze_all, proposed_directory, refuse_if_taken
from yoloscale.sweep.grammar.points import expand
from yoloscale.sweep.prepare import prepare_all
from yoloscale.sweep.search.ready import PlannedSearch, plan_search, take_search, wants_search
from yoloscale.sweep.search.search import Search, forget_removed, open_search
from yoloscale.sweep.search.submit import job_for, open_indices, submit_search
from yoloscale.sweep.submit import Submission, array_job, refuse_if_nothing, submit_points
from yoloscale.sweep.unfinished import unfinished
from yoloscale.system.remarks import Say, silent


@dataclass(frozen=True)
class SweepRequest(ABC):
    """A sweep as it is asked for, of which nothing is made yet.

    line: what was typed.
    points: all of them; of a search those that were tried to see that it is right.
    """

    line: Flags
    points: ConfiguredSweep

    @property
    def is_here(self) -> bool:
        """Whether the points train on this machine."""
        return self.points.first.cluster.is_here

    @property
    def proposed(self) -> SweepDirectory:
        """The folder that `take` would make or take up if nobody came between."""
        return proposed_directory(self.points)

    def words(self, name: str) -> list[str]:
        """What would be typed after `yoloscale` for the sweep of that name."""
        return ["train", *self.line.argv, *([] if self.points.name is not None else [f"name={quote_odd(name)}"])]

    @abstractmethod
    def take(self, say: Say) -> TakenSweep:
        """Prepare all that points need, then make the sweep, or take up the one of that name. Raises ConfigError.

        Nothing is written before every point is known to be right.
        """

    @abstractmethod
    def job(self) -> tuple[JobRequest, list[int]]:
        """What would be submitted, and the indices of its points. Raises ConfigError if there are none."""


@dataclass(frozen=True)
class GridRequest(SweepRequest):
    """Points that are all known."""

    def take(self, say: Say) -> TakenSweep:
        refuse_if_taken(self.points)
        return freeze_all(prepare_all(self.points, say), self.line.argv, say)

    def job(self) -> tuple[JobRequest, list[int]]:
        sweep = self.proposed
        indices = unfinished(sweep) if is_sweep(sweep.path) else list(range(len(self.points.points)))
        refuse_if_nothing(sweep, indices, failed_only=False)
        return array_job(self.points.first, sweep, self.words(sweep.name), indices), indices


@dataclass(frozen=True)
class SearchRequest(SweepRequest):
    """A search, whose points a sampler picks."""

    planned: PlannedSearch

    def take(self, say: Say) -> TakenSweep:
        return take_search(self.planned, say)

    def job(self) -> tuple[JobRequest, list[int]]:
        sweep = self.proposed
        search = Search(sweep, self.planned.space, self.planned.settings, self.planned.base)
        indices = open_indices(open_search(sweep)) if is_sweep(sweep.path) else list(range(search.total))
        return job_for(search, self.words(sweep.name), indices), indices


def sweep_request(typed: Sequence[str] | Flags, say: Say = silent) -> SweepRequest:
    """What is asked for by what was typed after `train -m`, checked as a whole. Raises ConfigError."""
    line = parsed(typed)
    if not wants_search(line):
        return GridRequest(line, configure_all(expand(line, say), say=say))
    planned = plan_search(line, say)
    return SearchRequest(line, planned.probes, planned)


def submit_rest(
    sweep: SweepDirectory, words: Sequence[str], *, failed_only: bool = False, is_new: bool = False
) -> Submission:
    """Submit what is left of a sweep, or what failed, in as few arrays as the site takes; the caller has taken it.

    `words` make the sweep if it is not there. Raises ConfigError that says why there is nothing to submit, or what the
    scheduler said; of an `is_new` sweep nothing stays then.
    """
    if read(sweep).settings.search is None:
        indices = unfinished(sweep, failed_only=failed_only)
        refuse_if_nothing(sweep, indices, failed_only=failed_only)
        return submit_points(sweep, words, indices, is_new=is_new)
    search = open_search(sweep)
    if not failed_only:
        forget_removed(search)
    return submit_search(search, words, open_indices(search, failed_only=failed_only), is_new=is_new)
