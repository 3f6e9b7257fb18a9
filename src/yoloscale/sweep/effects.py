"""Swept and searched arguments that change nothing: told before anything is made. Composes configs, else pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from yoloscale.config.check.effects import NoEffect, canonical, remarks, without_effect
from yoloscale.config.compose.catalog import read_catalog
from yoloscale.config.compose.many import compose_each
from yoloscale.config.locations import configs_folder
from yoloscale.config.schema import Config
from yoloscale.errors import Problem
from yoloscale.launch.configure import task_of
from yoloscale.sweep.grammar.points import Point
from yoloscale.sweep.problems import gathered
from yoloscale.system.remarks import Say

if TYPE_CHECKING:
    from yoloscale.sweep.grammar.space import Space

MAX_TRIED = 64  # combinations of values that may give an argument an effect; of more, it is taken to have one


def own_groups() -> frozenset[str]:
    """Keys that choose among shipped configs: their values are composed in all combinations."""
    return frozenset(read_catalog([configs_folder()]).groups)


def composable(points: Sequence[Point]) -> list[Config]:
    """The configs of those points that can be composed."""
    outcomes = compose_each([point.tokens for point in points], task_of)
    return [config for config in outcomes if isinstance(config, Config)]


def same_training(configs: Sequence[Config], names: Sequence[str]) -> list[Problem]:
    """Problems of points, by their names, that differ in arguments without effect only: they train the same twice."""
    reasons = [without_effect(config) for config in configs]
    alike = defaultdict[str, list[int]](list)
    for index, config in enumerate(configs):
        alike[repr(canonical(config, reasons[index]))].append(index)
    problems: list[list[Problem]] = [[] for _ in configs]
    for indices in (same for same in alike.values() if len(same) > 1):
        for index in indices:
            for key, reason in reasons[index].items():
                if len({repr(getattr(configs[other], key)) for other in indices}) > 1:
                    problems[index].append(_swept(key, reason, "swept"))
    return gathered(problems, names)


def useless(space: Space, configs: Sequence[Config]) -> tuple[list[Problem], list[str]]:
    """Problems of dimensions without effect anywhere in a space, and lines about those without effect in parts of it.

    `configs`: of the space's probes.
    """
    reasons = [without_effect(config) for config in configs]
    problems, lines = list[Problem](), list[str]()
    for dimension in space.dimensions:
        key = dimension.key
        own = [by_key[key] for by_key in reasons if key in by_key]
        if own and len(own) == len(reasons) and not _has_effect(space, key, own):
            if own[0].is_by_steps:
                lines.append(_by_steps(key, own[0]))
            else:
                problems.append(_swept(key, own[0], "searched"))
        elif reason := _of_a_list(space, own):
            lines.append(f"{key}: at some points no effect {reason.because}; {reason.instead}")
    return problems, lines


def say_remarks(configs: Iterable[Config], swept: Iterable[str], typed: Iterable[str], say: Say) -> None:
    """Say which arguments have no effect: of those that all points share, and of those swept whose steps decide.

    `typed`: the keys that were.
    """
    swept = set(swept)
    for config in configs:
        for key, reason in without_effect(config).items():
            if key in swept and reason.is_by_steps:
                say(_by_steps(key, reason))
        for line in remarks(config, set(typed) - swept, left_out=swept):
            say(line)


def _swept(key: str, reason: NoEffect, how: str) -> Problem:
    return Problem(key, f"{how}, but no effect {reason.because}", f"{reason.instead}; or give {key} one value")


def _by_steps(key: str, reason: NoEffect) -> str:
    return f"{key}: no effect {reason.because}; {reason.instead}"


def _of_a_list(space: Space, reasons: Sequence[NoEffect]) -> NoEffect | None:
    """The reason that a value of another dimension is which has few values: the end of an interval is no point."""
    few = {dimension.key for dimension in space.dimensions if dimension.values is not None}
    return next((reason for reason in reasons if not reason.is_own and few.intersection(reason.settings)), None)


def _has_effect(space: Space, key: str, reasons: Sequence[NoEffect]) -> bool:
    """Whether other values of the settings that take the effect away, as far as these are searched, give it one."""
    dimensions = {dimension.key: dimension for dimension in space.dimensions}
    varied = set[str]()
    while more := {name for reason in reasons for name in reason.settings} & dimensions.keys() - varied - {key}:
        varied |= more
        values = {name: dimensions[name].probes() for name in sorted(varied)}
        if prod(map(len, values.values())) > MAX_TRIED:
            return True
        first = space.first()
        tried = [{**first, **dict(zip(values, chosen, strict=True))} for chosen in product(*values.values())]
        by_key = [without_effect(config) for config in composable([space.point(0, each) for each in tried])]
        if not all(key in each for each in by_key):
            return True
        reasons = [each[key] for each in by_key]
    return False
