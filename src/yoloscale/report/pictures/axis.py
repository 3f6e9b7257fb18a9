"""The values of one varied key as places on an axis from 0 to 1, with labels that do not overlap. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yoloscale.system import formatting

_LOG_RATIO = 30.0  # from the largest to the smallest, from which numbers are shown on a logarithmic scale
_FEW = 7  # different numbers that are labelled each
_TICKS = 5
_MARGIN = 0.04  # at both ends
MAX_LABEL = 16  # characters


@dataclass(frozen=True)
class Axis:
    """A key: where each of its values lies, and which places are labelled."""

    key: str
    places: Mapping[str, float]
    ticks: tuple[tuple[float, str], ...]
    is_numeric: bool = True


def make_axis(key: str, values: Sequence[str], *, is_log: bool = False, apart: float = 0.045) -> Axis:
    """An axis for the values of a key, its title, at all points; numbers by size if all are numbers.

    `is_log`: searched on a logarithmic scale; a few positive numbers far apart are shown on one anyway. `apart`: the
    least distance between two labels.
    """
    different = list(dict.fromkeys(values))
    numbers = [formatting.as_number(value) for value in different]
    if any(number is None for number in numbers):
        last = len(different) - 1
        places = {value: _inside(place / last if last else 0.5) for place, value in enumerate(different)}
        labels = [(place, formatting.ending(value, MAX_LABEL)) for value, place in places.items()]
        return Axis(key, places, _spread(labels, apart), is_numeric=False)
    by_value = {value: number for value, number in zip(different, numbers, strict=True) if number is not None}
    return _numeric(key, by_value, is_log=is_log, apart=apart)


def _numeric(key: str, numbers: Mapping[str, float], *, is_log: bool, apart: float) -> Axis:
    low, high = min(numbers.values()), max(numbers.values())
    if low == high:
        value = next(iter(numbers))
        return Axis(key, dict.fromkeys(numbers, 0.5), ((0.5, formatting.value(value)),))
    is_few = len(set(numbers.values())) <= _FEW
    uses_log = low > 0 and (is_log or (is_few and high / low >= _LOG_RATIO))

    def place(number: float) -> float:
        if uses_log:
            return _inside(math.log(number / low) / math.log(high / low))
        return _inside((number - low) / (high - low))

    places = {value: place(number) for value, number in numbers.items()}
    if is_few:
        labels = [(place(number), formatting.value(value)) for value, number in numbers.items()]
    elif uses_log:
        labels = [(place(number), f"{number:.3g}") for number in _decades(low, high)]
    else:
        labels = [
            (place(number), formatting.number(number) if number >= 1e6 else f"{number:.6g}")
            for number in _round_numbers(low, high)
        ]
    return Axis(key, places, _spread(sorted(labels), apart))


def _decades(low: float, high: float) -> list[float]:
    """The ends, and powers of ten between them."""
    powers = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    return [low, high, *powers]


def _round_numbers(low: float, high: float) -> list[float]:
    """Some multiples of 1, 2 or 5 times a power of ten that lie between."""
    least = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _spread(labels: Sequence[tuple[float, str]], apart: float) -> tuple[tuple[float, str], ...]:
    """Labels that keep their distance; those at the ends stay."""
    ordered = sorted(dict(labels).items())
    if len(ordered) <= 2:
        return tuple(ordered)
    kept, last = [ordered[0]], ordered[-1]
    for label in ordered[1:-1]:
        if label[0] - kept[-1][0] >= apart and last[0] - label[0] >= apart:
            kept.append(label)
    return (*kept, last)


def _inside(share: float) -> float:
    return _MARGIN + (1 - 2 * _MARGIN) * share
