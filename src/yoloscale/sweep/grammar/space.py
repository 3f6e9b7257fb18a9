"""What is typed after `train -m` as a space to search: intervals and choices beside what all points have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod, sqrt
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from yoloscale.config.compose import command_line
from yoloscale.config.compose.catalog import Catalog
from yoloscale.config.compose.flags import Flags
from yoloscale.config.keys import FREE, describe, is_group, known, members
from yoloscale.errors import ConfigError, Problem
from yoloscale.sweep.grammar.decimals import Numbers, decimal, numbers
from yoloscale.sweep.grammar.points import (
    FUNCTION,
    NEVER_SWEPT,
    NEVER_SWEPT_BELOW,
    Choice,
    Point,
    choices_of,
    end_left_out,
    read_arguments,
    unreadable,
)
from yoloscale.system.remarks import Say, silent

Value = str | float | int
MAX_COMBINATIONS = 32  # of groups (models, datasets) that are all tried before anything starts; of more, each once


@dataclass(frozen=True)
class Choices:
    """A key with a list of values. In the study, a value is what stands behind the `=`."""

    key: str
    choices: tuple[Choice, ...]

    @property
    def typed(self) -> str:
        """The key as it was typed, with a `+` before it, say."""
        return self.choices[0].token.partition("=")[0]

    @property
    def values(self) -> tuple[str, ...]:
        """All values, as text."""
        return tuple(choice.token.partition("=")[2] for choice in self.choices)

    def choice(self, value: Value) -> Choice:
        """The argument for one of the values."""
        return self.choices[self.values.index(str(value))]

    def probes(self) -> tuple[Value, ...]:
        """Values that must be right for all to be."""
        return self.values

    def __str__(self) -> str:
        return f"{self.key}: {', '.join(choice.word for choice in self.choices)}"


@dataclass(frozen=True)
class Interval:
    """A key with all numbers from `low` to `high`, both included, or those of them that `step` leads to."""

    key: str
    typed: str  # with a `+` before it, if that was typed
    low: float
    high: float
    step: float | None = None
    is_log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers."""
        return isinstance(self.low, int)

    @property
    def values(self) -> tuple[Value, ...] | None:
        """All values where there are finitely many."""
        step = self.step or (1 if self.is_whole else None)
        if step is None:
            return None
        count = round((self.high - self.low) / step) + 1
        return tuple(Numbers(decimal(self.low), decimal(step), count, is_whole=self.is_whole))

    def choice(self, value: Value) -> Choice:
        """The argument for one of the values."""
        text = f"{value:.12g}" if self.step is not None and not self.is_whole else repr(value)
        word = f"{value:.12g}" if self.is_whole else f"{value:.6g}"
        return Choice(self.key, f"{self.typed}={text}", word)

    def probes(self) -> tuple[Value, ...]:
        """Both ends and what is between them."""
        middle = sqrt(self.low * self.high) if self.is_log else (self.low + self.high) / 2
        if self.step is not None:
            middle = self.low + round((middle - self.low) / self.step) * self.step
        return tuple(dict.fromkeys((self.low, int(middle) if self.is_whole else middle, self.high)))

    def __str__(self) -> str:
        scale = " on a logarithmic scale" if self.is_log else f" in steps of {self.step:g}" if self.step else ""
        return f"{self.key}: {self.low:g} to {self.high:g}{scale}{', whole numbers' if self.is_whole else ''}"


Dimension = Choices | Interval


@dataclass(frozen=True)
class Space:
    """All that may be typed to start one point: arguments that stay, and dimensions, in the order typed."""

    parts: tuple[str | Dimension, ...]

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What a point is a choice of."""
        return tuple(part for part in self.parts if not isinstance(part, str))

    @property
    def size(self) -> int | None:
        """How many points there are; None for infinitely many."""
        counts = [len(values) for each in self.dimensions if (values := each.values) is not None]
        return prod(counts) if len(counts) == len(self.dimensions) else None

    def point(self, index: int, values: Mapping[str, Value]) -> Point:
        """The point with these values by key."""
        chosen = [part if isinstance(part, str) else part.choice(values[part.key]) for part in self.parts]
        tokens = tuple(each if isinstance(each, str) else each.token for each in chosen)
        return Point(index, tokens, tuple(each for each in chosen if not isinstance(each, str)))

    def first(self) -> dict[str, Value]:
        """The first value of each dimension."""
        return {each.key: each.probes()[0] for each in self.dimensions}

    def probes(self, groups: frozenset[str]) -> list[Point]:
        """Points that must be right for all to be: each value of a list and the ends of an interval, one at a time.

        `groups` are keys whose values are tried in all combinations, as far as these are few.
        """
        first = self.first()
        combined = [each for each in self.dimensions if each.key in groups and isinstance(each, Choices)]
        if prod(len(each.values) for each in combined) > MAX_COMBINATIONS:
            combined = []
        keys = [each.key for each in combined]
        probes = [first]
        probes += [
            {**first, **dict(zip(keys, values, strict=True))} for values in product(*(each.values for each in combined))
        ]
        probes += [{**first, each.key: value} for each in self.dimensions for value in each.probes()]
        different = {tuple(values.items()): values for values in probes}
        return [self.point(index, values) for index, values in enumerate(different.values())]

    def combinations(self) -> Iterator[dict[str, Value]]:
        """Every point of a finite space."""
        assert self.size is not None, "asked of finite spaces only"
        keys = [each.key for each in self.dimensions]
        for values in product(*(each.values or () for each in self.dimensions)):
            yield dict(zip(keys, values, strict=True))


def read_space(typed: Sequence[str] | Flags, say: Say = silent) -> Space:
    """The space of what was typed after `yoloscale train`, with or without the `-m`, and of the YAML files it names.

    Of a key given twice the last counts. Raises ConfigError with all that can be told without composing: values are
    checked when its probes are composed. `say` gets the remarks.
    """
    arguments = read_arguments(typed)
    parts, problems = dict[str, "str | Dimension"](), list[Problem]()
    for token in arguments.tokens:
        key = token.partition("=")[0].strip()
        try:
            parts[key] = _part(token, arguments.catalog, say)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Space((*arguments.flags, *parts.values()))


def _part(token: str, catalog: Catalog, say: Say) -> str | Dimension:
    typed, _, value = (part.strip() for part in token.partition("="))
    name = typed.lstrip("+").partition("@")[0]
    override = _numbers(name, typed, value)
    if override is None:
        choices = choices_of(token, catalog, say)
        return token if choices is None else Choices(name, tuple(choices))
    if problem := _misplaced(name, value):
        raise ConfigError(problem)
    interval = _interval(name, typed, value, override.value())
    if problem := _wrong_type(interval, value) or _wrong_scale(interval, value):
        raise ConfigError(problem)
    if remark := end_left_out(name, value, override.value()):
        say(remark)
    return interval


def _numbers(name: str, typed: str, value: str) -> Override | None:
    """An interval or a range as Hydra reads it; None for what is neither. Raises ConfigError."""
    if name in NEVER_SWEPT or name.startswith((*NEVER_SWEPT_BELOW, *FREE)) or "(" not in value:
        return None
    try:
        override = OverridesParser.create().parse_override(f"{typed}={value}")
        has_numbers = isinstance(override.value(), (IntervalSweep, RangeSweep))
        return override if override.is_sweep_override() and has_numbers else None
    except (HydraException, ValueError) as error:
        if FUNCTION.match(value):
            raise unreadable(name, value, error) from None
        return None


def _interval(name: str, typed: str, value: str, sweep: Any) -> Interval:
    is_log = "log" in sweep.tags
    if isinstance(sweep, IntervalSweep):
        low, high = sweep.start, sweep.end
        assert low is not None, "Hydra reads none without ends"
        assert high is not None, "Hydra reads none without ends"
        if low >= high:
            raise ConfigError(Problem(name, f"{value}: {low:g} is not below {high:g}", "write the smaller one first"))
        return Interval(name, typed, low, high, is_log=is_log)
    try:
        has = numbers(sweep)
    except (ValueError, ArithmeticError) as error:
        raise unreadable(name, value, error) from None
    if not has.count:
        raise ConfigError(Problem(name, f"{value} has no values", "the end of a range is not part of it: range(0,3)"))
    ends = has[0], has[has.count - 1]
    step = None if sweep.step in (1, -1) and has.is_whole else abs(sweep.step)
    return Interval(name, typed, min(ends), max(ends), step, is_log)


def _misplaced(name: str, value: str) -> Problem | None:
    """An interval where none can be."""
    if name == "cluster" or name.startswith("cluster."):
        return Problem(
            name, f"{value}: several values of a cluster setting", "give it one value; start a sweep for each"
        )
    if name == "hydra" or name.startswith(("hydra.", "hydra/", "sweep.")):
        return Problem(name, f"{value}: several values of a setting that all points share", "give it one value")
    if name not in known():
        return command_line.unknown_key(name)
    kinds = members(known()[name])
    if is_group(name) or not {int, float, Any} & {*kinds}:  # Any: a number or several, like scale
        instead = f"it takes {describe(name)}: write its values with commas between them"
        return Problem(name, f"{value}, which are numbers", instead)
    return None


def _wrong_type(interval: Interval, value: str) -> Problem | None:
    key = interval.key
    if interval.is_whole or {float, Any} & {*members(known()[key])}:
        return None
    return Problem(key, f"{value}, with fractions", f"it takes {describe(key)}: write int({value})")


def _wrong_scale(interval: Interval, value: str) -> Problem | None:
    if interval.is_log and interval.low <= 0:
        instead = "start above 0, like tag(log,interval(1e-5,1e-1)), or leave the log out"
        return Problem(interval.key, f"{value}: a logarithm of {interval.low:g}", instead)
    if interval.is_log and interval.step is not None:
        instead = "leave the step out, or write an interval"
        return Problem(interval.key, f"{value}: steps on a logarithmic scale", instead)
    return None
