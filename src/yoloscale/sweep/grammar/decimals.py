"""The numbers of Hydra's `range(…)`, counted in decimals as they were typed. Pure.

Hydra counts in binary fractions: whether the end belongs to a range is then decided by rounding, and a value of
range(0.1,0.5,0.1) is 0.30000000000000004. Here the end is never part of it, as in Hydra's documentation, and values
have the digits that a person would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from hydra.core.override_parser.types import RangeSweep

Number = int | float


@dataclass(frozen=True)
class Numbers:
    """`count` numbers from `start` on, `step` apart; with a fraction anywhere all are floats."""

    start: Decimal
    step: Decimal
    count: int
    is_whole: bool

    def __getitem__(self, index: int) -> Number:
        """The number of that index, from 0."""
        value = self.start + index * self.step
        return int(value) if self.is_whole else float(value)

    def __iter__(self) -> Iterator[Number]:
        return map(self.__getitem__, range(self.count))


def numbers(sweep: RangeSweep) -> Numbers:
    """What a range has. Raises ValueError for a step of zero, ArithmeticError where it has no end."""
    ends = sweep.start, sweep.stop, sweep.step
    start, stop, step = (decimal(end or 0) for end in ends)
    if not step:
        raise ValueError(f"Invalid range values: from {sweep.start} to {sweep.stop} in steps of zero")
    steps, rest = divmod(stop - start, step)  # both towards zero
    count = 0 if (stop - start) * step <= 0 else int(steps) + bool(rest)
    return Numbers(start, step, count, all(isinstance(end, int) for end in ends))


def decimal(value: Number) -> Decimal:
    """A number with the digits that a person typed: 15 are what a float keeps of any."""
    return Decimal(value) if isinstance(value, int) else Decimal(f"{value:.15g}")


def left_out(sweep: RangeSweep) -> float | None:
    """The end of a range of fractions if a step leads right to it, so that a person may take it for a value."""
    has = numbers(sweep)
    following = has.start + has.count * has.step
    return float(following) if has.count > 0 and following == decimal(sweep.stop or 0) and not has.is_whole else None
