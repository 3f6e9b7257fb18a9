"""Ranks that hold up the others, found from every rank's own seconds per step. Pure; the same on every rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from yoloscale.engine.clock import OwnTime

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
    """Collects the ranks' times; each window of steps gives a verdict, in growing distances while there is one.

    Args:
        window: steps.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._times: list[Sequence[OwnTime]] = []
        self._pause = 1  # windows between two reports
        self._left = 0  # windows until the next one

    def add(self, times: Sequence[OwnTime]) -> list[Straggler]:
        """Take one step's times of all ranks, in rank order; the stragglers, slowest first, when a report is due."""
        self._times.append(times)
        if len(self._times) < self._window or len(times) == 1:
            return []
        found = find(self._times)
        self._times = []
        if not found:
            self._pause, self._left = 1, 0
            return []
        self._left -= 1
        if self._left > 0:
            return []
        self._left, self._pause = self._pause, min(2 * self._pause, MAX_PAUSE)
        return found


def find(times: Sequence[Sequence[OwnTime]]) -> list[Straggler]:
    """The stragglers of a window (steps × at least two ranks), slowest first."""
    own = [median(sum(step[rank]) for step in times) for rank in range(len(times[0]))]
    ordered = sorted(own)
    found = []
    for rank, own_s in enumerate(own):
        others_s = _median_without(ordered, own_s)
        if own_s > EXCESS * others_s and own_s - others_s > EXCESS_S:
            found.append(Straggler(rank, own_s, others_s, _is_loading(times, rank)))
    return sorted(found, key=lambda straggler: -straggler.own_s)


def describe(found: Sequence[Straggler], hosts: Sequence[str]) -> str:
    """A sentence for people about at least one straggler; `hosts` in rank order."""
    worst = found[0]
    doing = "loading images" if worst.is_loading else "computing"
    speed = f"takes {worst.own_s:.2g} s a step, the others {worst.others_s:.2g} s"
    sentence = f"rank {worst.rank} on {hosts[worst.rank]} {speed}, and all wait for it: {doing}"
    more = ", ".join(f"{straggler.rank} on {hosts[straggler.rank]}" for straggler in found[1:4])
    rest = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return f"{sentence}; slow too: rank {more}{rest}" if more else sentence


def _median_without(ordered: Sequence[float], value: float) -> float:
    """The lower median of the sorted values, `value` left out once."""
    middle = (len(ordered) - 2) // 2
    return ordered[middle + 1] if value <= ordered[middle] else ordered[middle]


def _is_loading(times: Sequence[Sequence[OwnTime]], rank: int) -> bool:
    """Whether what the rank takes longer than the others on average is mostly loading."""
    others = len(times[0]) - 1
    excess_s = [0.0, 0.0]
    for step in times:
        for kind in (0, 1):
            own_s, all_s = step[rank][kind], sum(time[kind] for time in step)
            excess_s[kind] += own_s - (all_s - own_s) / others
    return excess_s[0] > excess_s[1]
