"""Taking an unfinished run to other ranks, devices or nodes, or on otherwise: checked, frozen and put on record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar, cast

from yoloscale.config.freeze import dump, freeze
from yoloscale.config.plan import describe, is_automatic, plan, world_size
from yoloscale.config.resuming import Done, images_of, is_asked, said, why_unknown
from yoloscale.config.schema import Config, RunConfig
from yoloscale.config.topology import differences, is_same_dataset, is_same_place, moved
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch import anew, inference
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import write_whole
from yoloscale.system.formatting import another
from yoloscale.system.remarks import Say, silent

_Run = TypeVar("_Run", bound=RunConfig)


def moved_run(run: RunDirectory, frozen: RunConfig, wanted: _Run, *, by_resume: bool = False) -> _Run:
    """What a run is to be frozen with when it goes on as wanted; the frozen config itself if nothing differs.

    Raises ConfigError, with every key, if more than may is to change, or if its batch does not divide. What may only be
    asked for `by_resume` is not taken from a command that has the same name by chance.
    """
    if not isinstance(frozen, Config) or not isinstance(wanted, Config):
        return cast("_Run", inference.moved_run(run, frozen, wanted))
    done = done_by(run)
    config = moved(frozen, wanted, done if by_resume else None)
    if problems := _problems(run, frozen, config, wanted):
        raise ConfigError(problems)
    if config.epochs != frozen.epochs and config.epochs <= done.epochs:
        instead = f"write epochs={done.epochs + 1} or more; weights/last.pt is what these have come to"
        raise ConfigError(Problem("epochs", f"{config.epochs}, and {done.epochs} are done", instead))
    if not is_automatic(config.batch):
        plan(config)
    elif done.batch is not None:
        plan(config, batch=done.batch)
    else:  # sized at the first start, and there was none
        config = replace(config, cluster=replace(config.cluster, planned_ranks=world_size(config)))
    return cast("_Run", config)


def move(
    run: RunDirectory,
    frozen: RunConfig,
    wanted: _Run,
    typed: Sequence[str] | None = None,
    say: Say = silent,
    *,
    by_resume: bool = False,
) -> _Run:
    """Freeze what a run goes on with in place of what it was `frozen` with, if that differs; the caller has its lock.

    Returns what it goes on with. `typed`: all that would be typed to start the run so. `say` gets a line for what makes
    it another run than it was.
    Raises ConfigError as `moved_run` does.
    """
    config = moved_run(run, frozen, wanted, by_resume=by_resume)
    changes, lines = differences(frozen, config), _remarks(frozen, config)
    for line in lines:
        say(f"run {run.name!r} goes on with {line}")
    if config == frozen:
        return config
    run.check()
    if typed is not None and changes:
        write_whole(run.overrides, dump(list(typed)))
    freeze(config, run.config)
    before, now = ({key: json.loads(values[side]) for key, *values in changes} for side in (0, 1))
    words = _plan(config, done_by(run).batch)
    if changes or lines:
        events.append(run, events.Moved(from_=before, to=now, plan=words, remarks=tuple(lines)))
    return config


def _remarks(frozen: RunConfig, config: RunConfig) -> list[str]:
    return said(frozen, config) if isinstance(frozen, Config) and isinstance(config, Config) else []


def _plan(config: RunConfig, batch: int | None) -> str:
    """The plan in words, also where the batch was sized by the first start."""
    if isinstance(config, Config) and batch is not None and is_automatic(config.batch):
        return str(plan(config, batch=batch))
    return describe(config)


def not_compared(frozen: RunConfig, wanted: RunConfig, *, of: str) -> str | None:
    """What to say of a frozen config that is taken up with data elsewhere, not looked at yet; None for others.

    `of`: whose it is: run 'x', sweep 'x'.
    """
    if not isinstance(frozen, Config) or not isinstance(wanted, Config):
        return None
    if is_same_place(frozen, wanted) or wanted.origin.dataset is not None:
        return None
    return f"data={wanted.data.source} is compared with that of {of} when it starts"


def done_by(run: RunDirectory) -> Done:
    """What a run has behind it, by its events."""
    history = events.history(run)
    batches = (event.batch for event in history if isinstance(event, events.TrainingStarted) and event.batch)
    epochs = [event.epoch for event in history if isinstance(event, events.CheckpointSaved)]
    return Done(epochs[-1] if epochs else 0, next(batches, None))


def _problems(run: RunDirectory, frozen: Config, config: Config, wanted: Config) -> list[Problem]:
    different = differences(config, wanted)
    problems = [
        _another(run, *entry, may_resume=is_asked(entry[0], frozen, wanted))
        for entry in different
        if not entry[0].startswith("data.")
    ]
    if len(problems) < len(different):
        problems.append(_other_data(run, frozen, wanted))
    return problems


def _another(run: RunDirectory, key: str, old: str, new: str, *, may_resume: bool) -> Problem:
    problem = another(key, old, new, of=f"run {run.name!r}")
    if not may_resume:
        return problem
    instead = f"`yoloscale resume {run.name} {key}={new}` goes on with it so; else {problem.instead}"
    return replace(problem, instead=instead)


def _other_data(run: RunDirectory, frozen: Config, wanted: Config) -> Problem:
    """The problem of a dataset that is not the one of the run's first start."""
    old, new = frozen.origin.dataset, wanted.origin.dataset
    what, instead = "it is another dataset", ""
    if is_same_dataset(frozen, wanted, is_asked=True) and None in (old, new):
        what = f"whether it is the same cannot be told: {why_unknown(old)}"
        instead = f"`yoloscale resume {run.name} data={wanted.data.source}` goes on with it if it is; "
    elif old is not None and new is not None:
        what = "its images, labels or classes are others"
        if images_of(old) != images_of(new):
            what = f"it has {images_of(new)} training images instead of {images_of(old)}"
    found = f"{wanted.data.source} instead of {frozen.data.source}, and {what}"
    instead += "a run goes on with the dataset that it was started with, wherever that lies; to train on another:"
    return Problem("data", found, f"{instead}\n{anew.command(run, [f'data={wanted.data.source}'])}")
