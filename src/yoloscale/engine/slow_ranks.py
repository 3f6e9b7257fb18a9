"""Ranks that hold up the others, found from every rank's own seconds per step by one rank for all, in a thread."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from yoloscale.system.formatting import and_more
from yoloscale.system.in_threads import in_background

Times = npt.NDArray[np.floating]
"""Seconds per rank that it was busy itself: (ranks, 2), loading and computing, as `clock.OwnTime` has them."""

WINDOW = 50  # steps that are looked at together: one slow step is not a slow rank
EXCESS = 1.3  # a rank's median over the median of the others
EXCESS_S = 0.01  # below that nobody would miss the time
MAX_PAUSE = 32  # windows


@dataclass(frozen=True)
class Straggler:
    """A rank that takes longer than the others, and whether that is spent on loading or on computing."""

    rank: int
    own_s: float
    others_s: float
    is_loading: bool


class Stragglers:
    """Collects the ranks' times; reports slow ranks after a window of steps, at growing distances."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._times: Times | None = None  # (window, ranks, 2): one block for all windows
        self._steps = 0  # of this window
        self._search: Future[list[Straggler]] | None = None  # in the window before, whose times are kept until then
        self._pause = 1  # windows between two reports
        self._left = 0  # windows until the next one

    def add(self, times: Times) -> list[Straggler]:
        """Take one step's times of all ranks; the stragglers, slowest first, at the step after the window.

        That step lies between, so that the loop does not wait for the search.
        """
        if len(times) == 1:
            return []
        stragglers = self._due_report()
        if self._times is None:
            self._times = np.zeros((self._window, *times.shape))
        self._times[self._steps] = times
        self._steps = (self._steps + 1) % self._window
        if self._steps == 0:
            self._search = in_background(partial(_found, self._times), "stragglers")
        return stragglers

    def _due_report(self) -> list[Straggler]:
        if self._search is None:
            return []
        stragglers, self._search = self._search.result(), None
        if not stragglers:
            self._pause, self._left = 1, 0
            return []
        self._left -= 1
        if self._left > 0:
            return []
        self._left, self._pause = self._pause, min(2 * self._pause, MAX_PAUSE)
        return stragglers


def _found(times: Times) -> list[Straggler]:
    """As `find`; what goes wrong in a diagnosis is printed, and ends no run."""
    try:
        return find(times)
    except Exception:
        traceback.print_exc()
        return []


def find(times: Times) -> list[Straggler]:
    """The stragglers of a window, (steps, at least two ranks, 2), slowest first."""
    own = _medians(times[..., 0] + times[..., 1])
    others = _medians_without(own)
    slow = np.flatnonzero((own > EXCESS * others) & (own - others > EXCESS_S))
    ordered = slow[np.argsort(-own[slow], kind="stable")]
    columns = (ordered, own[ordered], others[ordered], _are_loading(times, ordered))
    return [Straggler(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def describe(stragglers: Sequence[Straggler], hosts: Sequence[str]) -> str:
    """A sentence for people about at least one straggler; `hosts` in rank order."""
    worst = stragglers[0]
    doing = "loading images" if worst.is_loading else "computing"
    speed = f"takes {worst.own_s:.2g} s a step, the others {worst.others_s:.2g} s"
    sentence = f"rank {worst.rank} on {hosts[worst.rank]} {speed}, and all wait for it: {doing}"
    others = and_more([f"{straggler.rank} on {hosts[straggler.rank]}" for straggler in stragglers[1:]], 3)
    return f"{sentence}; slow too: rank {others}" if others else sentence


def _medians(seconds: Times) -> Times:
    """The median of each rank over the steps, (steps, ranks); by sorting rows, a third of np.median's time."""
    ordered, steps = np.sort(np.ascontiguousarray(seconds.T), axis=1), len(seconds)
    middle: Times = (ordered[:, (steps - 1) // 2] + ordered[:, steps // 2]) / 2
    return middle


def _medians_without(own: Times) -> Times:
    """For each value, the lower median of the other ones."""
    ordered = np.sort(own)
    middle = (len(own) - 2) // 2
    medians: Times = np.where(own <= ordered[middle], ordered[middle + 1], ordered[middle])
    return medians


def _are_loading(times: Times, ranks: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Whether what these ranks take longer than the others on average is mostly loading."""
    if not len(ranks):
        return np.zeros(0, dtype=bool)
    sums = times.sum(axis=0)  # (ranks, 2): over the steps first, which is quick along rows
    own, everybody = sums[ranks], np.array([sums[:, 0].sum(), sums[:, 1].sum()])
    excess = own - (everybody - own) / (len(sums) - 1)
    loads: npt.NDArray[np.bool_] = excess[:, 0] > excess[:, 1]
    return loads
