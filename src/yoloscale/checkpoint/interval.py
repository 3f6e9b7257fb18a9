"""When the next checkpoint within an epoch is due.

`auto` follows Young and Daly: with a cost C per checkpoint and a mean time M between interruptions, least time is lost
with a checkpoint each √(2 C M) (J. W. Young, CACM 17(9), 1974; J. T. Daly, FGCS 22(3), 2006, first order).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FIRST_S = 60.0  # until a cost has been measured
SHORTEST_S, LONGEST_S = 10.0, 1800.0
LARGEST_SHARE = 0.01  # of the time, in which the loop stands still for checkpoints


@dataclass(frozen=True)
class When:
    """Checkpoints between those at the ends of epochs; the first rule that applies asks for one.

    Args:
        every_steps: each so many optimiser steps.
        every_s: each so many seconds.
        automatic: √(2 C M), used where the other two are None.
        mtbf_s: mean time between interruptions, as `mean_time_between_failures` estimates it.
    """

    every_steps: int | None = None
    every_s: float | None = None
    automatic: bool = True
    mtbf_s: float = 4 * 3600.0


def automatic_s(blocked_s: float, write_s: float, mtbf_s: float) -> float:
    """Seconds between checkpoints after Young and Daly, between 10 s and 30 min.

    The cost is the time for which the loop stood still and that of the background write, as if that stood in its way
    too: on a machine without a spare core it does. The loop never stands still for more than 1 % of the time.
    """
    best = math.sqrt(2 * (blocked_s + write_s) * mtbf_s)
    return min(max(best, blocked_s / LARGEST_SHARE, SHORTEST_S), LONGEST_S)


def mean_time_between_failures(expected_s: float, seen_s: float, interruptions: int) -> float:
    """An estimate from what was expected, and from so many interruptions in so many seconds of this run.

    The expectation counts as one interruption seen (the posterior mean of a gamma prior with shape 1).
    """
    return (expected_s + seen_s) / (1 + interruptions)


class SaveClock:
    """Says when a checkpoint is due. Times are `time.monotonic` seconds."""

    def __init__(self, when: When, step: int, now: float) -> None:
        self._when, self._step, self._time = when, step, now
        self._automatic_s = FIRST_S

    @property
    def interval_s(self) -> float | None:
        """Seconds between checkpoints by the clock; None where steps count."""
        if self._when.every_s is not None:
            return self._when.every_s
        return self._automatic_s if self._when.automatic and self._when.every_steps is None else None

    def is_due(self, step: int, now: float) -> bool:
        """Whether to save after optimiser step `step` (counted over the run)."""
        if self._when.every_steps is not None and step // self._when.every_steps > self._step // self._when.every_steps:
            return True
        return self.interval_s is not None and now - self._time >= self.interval_s

    def saved(self, step: int, now: float) -> None:
        """A checkpoint of that step has been taken, for whatever reason."""
        self._step, self._time = step, now

    def measured(self, blocked_s: float, write_s: float) -> None:
        """What the last one cost."""
        self._automatic_s = automatic_s(blocked_s, write_s, self._when.mtbf_s)
