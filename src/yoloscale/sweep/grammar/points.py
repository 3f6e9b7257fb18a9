"""What is typed after `train -m`, as a list of points: every combination, in the order of Hydra's basic sweeper."""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import prod
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    Override,
    QuotedString,
    RangeSweep,
    Transformer,
    ValueType,
)
from hydra.errors import HydraException

from yoloscale.config.compose import flags
from yoloscale.config.compose.catalog import Catalog, read_catalog
from yoloscale.config.compose.hydra import config_sources
from yoloscale.config.compose.refusals import NOT_OURS
from yoloscale.config.keys import FREE, is_text, known
from yoloscale.config.quoting import quote_text, unquote
from yoloscale.errors import ConfigError, Problem
from yoloscale.sweep.grammar.decimals import left_out, numbers
from yoloscale.sweep.grammar.yaml_params import LISTS, with_params
from yoloscale.system.formatting import counted
from yoloscale.system.remarks import Say, silent

MAX_POINTS = 10_000
HOW = "give a key several values, like imgsz=320,640 or seed=range(0,3)"

# One for all points, or text in which a comma is a comma.
NEVER_SWEPT = frozenset({"name", "project", "device", "logger.wandb.notes", *NOT_OURS})
NEVER_SWEPT_BELOW = ("paths.", *FREE)
FUNCTION = re.compile(r"(choice|range|glob|interval|sort|shuffle|tag)\s*\(")
_HIDDEN = {"model": {"custom", "default"}, "data": {"custom"}}  # options that stand for nothing by themselves


@dataclass(frozen=True)
class Choice:
    """One value of a swept key: the argument that sets it, and the value as a person would say it."""

    key: str
    token: str
    word: str

    @property
    def value(self) -> str:
        """The value as text, as exact as the argument has it."""
        return unquote(self.token.partition("=")[2])


@dataclass(frozen=True)
class Point:
    """One run of a sweep: all that would be typed to start it by itself, and which of it is swept."""

    index: int
    tokens: tuple[str, ...]
    swept: tuple[Choice, ...]


@dataclass(frozen=True)
class Arguments:
    """What was typed after `yoloscale train -m`: its flags, then arguments, those of YAML files (`params`) included."""

    flags: tuple[str, ...]
    tokens: tuple[str, ...]
    catalog: Catalog


def read_arguments(typed: Sequence[str] | flags.Flags) -> Arguments:
    """Tell flags from arguments, and read what YAML files sweep over. Raises ConfigError."""
    line = flags.parsed(typed)
    if line.prints_and_exits:
        raise ConfigError(Problem("--multirun", "asked to print one config", "leave -m out, and give one value a key"))
    named = {name: value for name, value in line.given.items() if name in ("config-dir", "config-name")}
    sources = config_sources(flags.Flags(named))
    catalog = read_catalog(sources.folders)
    words = with_params(line.tokens, sources, catalog, lambda token: is_swept(token, catalog))
    return Arguments(tuple(f"--{name}={value}" for name, value in named.items()), tuple(words), catalog)


def expand(typed: Sequence[str] | flags.Flags, say: Say = silent) -> list[Point]:
    """The points of what was typed after `yoloscale train`, with or without the `-m`, and of the YAML files it names.

    Of a key given twice the last counts, as in Hydra, and one that is typed before that of a YAML's `sweep.params`.
    Raises ConfigError with every problem of the grammar; values are checked when the points are composed. `say` gets
    the remarks.
    """
    arguments = read_arguments(typed)
    slots, problems = dict[str, list[Choice]](), list[Problem]()
    has_several = False
    for token in arguments.tokens:
        key = token.partition("=")[0].strip()
        try:
            choices = choices_of(token, arguments.catalog, say)
        except ConfigError as error:
            problems += error.problems
            continue
        has_several = has_several or choices is not None
        slots[key] = choices if choices is not None else [Choice("", token, "")]
    if not problems and not has_several:
        problems.append(Problem("--multirun", "nothing to sweep over", f"{HOW}, or leave -m out"))
    if not problems and prod(map(len, slots.values())) > MAX_POINTS:
        problems.append(Problem("--multirun", f"more than {MAX_POINTS} points", "sweep over fewer values at a time"))
    if problems:
        raise ConfigError(problems)
    return [
        Point(index, (*arguments.flags, *(each.token for each in chosen)), tuple(each for each in chosen if each.key))
        for index, chosen in enumerate(product(*slots.values()))
    ]


def choices_of(token: str, catalog: Catalog, say: Say = silent) -> list[Choice] | None:
    """The values of a token; None if it is one value, or none of Hydra's grammar. Raises ConfigError.

    `say` gets a line for a range that lacks a value which a person may expect.
    """
    typed, equals, value = (part.strip() for part in token.partition("="))
    name = typed.lstrip("+").partition("@")[0]
    if not equals or typed.startswith("~") or name in NEVER_SWEPT or name.startswith(NEVER_SWEPT_BELOW):
        return None
    is_function = FUNCTION.match(value) is not None
    try:
        override = OverridesParser.create().parse_override(f"{typed}={value}")
    except HydraException as error:
        if is_function:
            raise unreadable(name, value, error) from None
        return None
    if not override.is_sweep_override() or (not is_function and _has_own_commas(name)):
        return None
    if problem := _refused(name, value, override) or _ambiguous(name, value, override):
        raise ConfigError(problem)
    elements = _elements(name, value, override, catalog)
    if remark := end_left_out(name, value, override.value()):
        say(remark)
    return [Choice(typed.lstrip("+"), f"{typed}={text}", word) for text, word in elements]


def is_swept(token: str, catalog: Catalog) -> bool:
    """Whether several values are meant, also where they cannot be read."""
    try:
        return choices_of(token, catalog) is not None
    except ConfigError:
        return True


def _has_own_commas(name: str) -> bool:
    """Whether the commas typed for a key of the cluster are those of one value: all points share its settings."""
    return name.startswith("cluster.") and name in known() and (name in LISTS or is_text(name))


def _ambiguous(name: str, value: str, override: Override) -> Problem | None:
    """The problem of `freeze=0,10`: one list as without -m, or two points as Hydra has it?

    Not where a list or null is among the values: then they are several.
    """
    sweep: Any = override.value()
    if name not in LISTS or not isinstance(sweep, ChoiceSweep) or not sweep.simple_form:
        return None
    if FUNCTION.match(value) or any(element is None or isinstance(element, list) for element in sweep.list):
        return None
    one, each = shlex.quote(f"{name}=[{value}]"), shlex.quote(f"{name}=choice({value})")
    instead = f"write {one} for all points, or {each} for a point each"
    return Problem(name, f"{value} with -m: one list, or a value for each point?", instead)


def end_left_out(name: str, value: str, sweep: object) -> str | None:
    """What to tell of a range of fractions that leads right to its end, which is no value of it; None of all else."""
    if not isinstance(sweep, RangeSweep) or (end := left_out(sweep)) is None:
        return None
    has = numbers(sweep)
    return (
        f"{name}={value}: {counted(has.count, 'value')}, {has[0]:.12g} to {has[has.count - 1]:.12g}; the end of a "
        f"range is not part of it: end at {end + (sweep.step or 0) / 2:.12g} to have {end:.12g}, too"
    )


def _refused(name: str, value: str, override: Override) -> Problem | None:
    if name == "cluster" or name.startswith("cluster."):
        instead = "give it one value: all points run in the same way, on SLURM as one job array; start a sweep for each"
        return Problem(name, f"{value}: several values of a cluster setting", instead)
    if name == "sweep":
        return Problem(name, f"{value}: several sweeps at a time", "give it one value")
    if name == "hydra" or name.startswith(("hydra.", "hydra/")):
        return Problem(name, f"{value}: several values of a setting of Hydra's", "give it one value")
    if override.is_interval_sweep():
        instead = f"add sweep=tpe, a search, or {HOW}"
        return Problem(name, f"{value}: an interval has no list of values", instead)
    return None


def _elements(name: str, value: str, override: Override, catalog: Catalog) -> list[tuple[str, str]]:
    """Each value as typed and as said. Raises ConfigError if there are none, or too many."""
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        options = [option for option in catalog.groups.get(name, ()) if option not in _HIDDEN.get(name, ())]
        if not options:
            raise ConfigError(Problem(name, f"{value}, but this is no group", HOW))
        if not (matching := cast(Glob, override.value()).filter(options)):
            raise ConfigError(Problem(name, f"{value} matches nothing", f"it has {', '.join(options)}"))
        return [(option, option) for option in matching]
    try:
        elements = [_text(element) for element in islice(_values(override), MAX_POINTS + 1)]
    except (HydraException, ValueError, ArithmeticError) as error:
        raise unreadable(name, value, error) from None
    if not elements:
        raise ConfigError(Problem(name, f"{value} has no values", "the end of a range is not part of it: range(0,3)"))
    return elements


def _values(override: Override) -> Iterable[Any]:
    sweep: Any = override.value()
    if not isinstance(sweep, RangeSweep):
        return override.sweep_iterator()
    has = numbers(sweep)
    if not sweep.shuffle:
        return has
    shuffled = list(islice(has, MAX_POINTS + 1))
    random.shuffle(shuffled)
    return shuffled


def _text(element: Any) -> tuple[str, str]:
    """A value of Hydra's parser as an argument that means it again, and as a person would say it."""
    if isinstance(element, QuotedString):
        return element.with_quotes(), element.text
    if isinstance(element, str):
        return (element if _reads_as_itself(element) else quote_text(element)), element
    if element is None or isinstance(element, bool):
        word = str(element).lower() if element is not None else "null"
        return word, word
    text = Transformer.str(element)
    return text, f"{element:.12g}" if isinstance(element, float) else text  # 0.30000000000000004, said as 0.3


def _reads_as_itself(text: str) -> bool:
    try:
        return OverridesParser.create().parse_override(f"key={text}").value() == text
    except HydraException:
        return False


def unreadable(name: str, value: str, error: Exception) -> ConfigError:
    """What Hydra's parser says about values, in our words."""
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ConfigError(Problem(name, f"{value}: {reason.strip()}", HOW))
