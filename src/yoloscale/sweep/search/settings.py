"""What `sweep.search` may say about a space, told before anything starts. Pure, but for looking for packages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec

from yoloscale.config.schema import Config
from yoloscale.config.schema.sweep import Pruner, Sampler, SearchConfig
from yoloscale.errors import Problem
from yoloscale.study.objectives import COSTS, DIRECTIONS, FITNESS, is_cost, objectives_of
from yoloscale.study.study import INSTALL
from yoloscale.sweep.grammar.points import HOW, MAX_POINTS
from yoloscale.sweep.grammar.space import Choices, Space
from yoloscale.system.formatting import counted


def problems_of(search: SearchConfig, space: Space, config: Config) -> list[Problem]:
    """What is wrong with a search; `config` is that of one of its points."""
    if find_spec("optuna") is None:
        return [Problem("sweep.search", "the package optuna is not installed", INSTALL)]
    problems = [*_counts(search), *_objectives(search, config), *_pruning(search, config)]
    if not space.dimensions:
        problems.append(Problem("--multirun", "nothing to search over", f"{HOW}, or lr0=interval(1e-4,1e-1)"))
    return [*problems, *_twice(space), *_sampling(search, space)]


def remarks_of(search: SearchConfig) -> Iterator[str]:
    """A line for each setting that differs from its default and is read by nobody."""
    default = SearchConfig()
    if search.pruner is not Pruner.none:
        return
    if search.min_epochs != default.min_epochs:
        add = "add sweep.search.pruner=median"
        yield f"sweep.search.min_epochs={search.min_epochs}: no effect without a pruner; {add}"
    if search.startup_trials != default.startup_trials and search.sampler in (Sampler.random, Sampler.grid):
        why = f"with sampler={search.sampler.value} and no pruner, where all points are as the first ones"
        yield f"sweep.search.startup_trials={search.startup_trials}: no effect {why}; leave it out"


def total(search: SearchConfig, space: Space) -> int:
    """How many points there will be: a finite space may have fewer than are wanted."""
    return search.trials if space.size is None else min(search.trials, space.size)


def _counts(search: SearchConfig) -> Iterator[Problem]:
    if not 1 <= search.trials <= MAX_POINTS:
        yield Problem("sweep.search.trials", f"{search.trials}", f"write a number from 1 to {MAX_POINTS}")
    for key, value, least in (("startup_trials", search.startup_trials, 0), ("min_epochs", search.min_epochs, 1)):
        if value < least:
            yield Problem(f"sweep.search.{key}", f"{value}", f"write at least {least}")


def _objectives(search: SearchConfig, config: Config) -> Iterator[Problem]:
    metrics = config.model.task.row.metrics if config.model.task is not None else ()
    for metric, direction in objectives_of(search).items():
        if direction not in DIRECTIONS:
            yield Problem(f"sweep.search.objectives.{metric}", f"{direction!r}", f"write {' or '.join(DIRECTIONS)}")
        is_known = metric in metrics if metrics else metric.startswith("metrics/")
        if not (is_known or metric == FITNESS or is_cost(metric)):
            words = ", ".join((FITNESS, *(metrics or ("metrics/…",)), *COSTS))
            yield Problem("sweep.search.objectives", f"{metric!r}, which no run has", f"one of {words}")


def _pruning(search: SearchConfig, config: Config) -> Iterator[Problem]:
    if search.pruner is Pruner.none:
        return
    key, pruner, objectives = "sweep.search.pruner", search.pruner.value, list(objectives_of(search))
    none = "write sweep.search.pruner=none"
    if len(objectives) > 1:
        instead = f"{none}: it takes one objective to tell a loser"
        yield Problem(key, f"{pruner} with {len(objectives)} objectives", instead)
    elif is_cost(objectives[0]):
        yield Problem(key, f"{pruner} by {objectives[0]}, which is known at the end only", none)
    if not config.val:
        yield Problem(key, f"{pruner} with val=false", "leave val=false out: points are judged after epochs")
    if search.min_epochs >= config.epochs:
        found = f"{search.min_epochs} of {config.epochs} epochs"
        yield Problem("sweep.search.min_epochs", found, "write fewer of them, or more epochs")


def _twice(space: Space) -> Iterator[Problem]:
    """Values that a list has more than once: there are fewer points than it seems."""
    for each in space.dimensions:
        if isinstance(each, Choices):
            for word, count in Counter(choice.word for choice in each.choices).items():
                if count > 1:
                    yield Problem(each.key, f"{word!r}, {count} times", "give each value once")


def _sampling(search: SearchConfig, space: Space) -> Iterator[Problem]:
    key = "sweep.search.sampler"
    if search.sampler is Sampler.grid:
        instead = "write its values, or range(start,end,step); or sweep=tpe"
        infinite = [each.key for each in space.dimensions if each.values is None]
        yield from (Problem(name, "an interval in a grid", instead) for name in infinite)
    if search.sampler is Sampler.cmaes:
        numbers = sum(not isinstance(each, Choices) for each in space.dimensions)
        if find_spec("cmaes") is None:
            yield Problem(key, "cmaes: the package cmaes is not installed", INSTALL)
        if numbers < 2:
            found = f"cmaes with {counted(numbers, 'interval')}"
            yield Problem(key, found, "it moves in two or more intervals or ranges: write sweep=tpe")
        if len(objectives_of(search)) > 1:
            yield Problem(key, "cmaes with several objectives", "write sweep=pareto, or sampler=nsga2")
