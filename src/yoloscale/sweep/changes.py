"""What may be typed beside the name of a sweep that goes on."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from yoloscale.backends.check import validate
from yoloscale.backends.run_lock import RunLock, lock
from yoloscale.config.compose.flags import split
from yoloscale.config.compose.hydra import assignments
from yoloscale.config.freeze import freeze, load
from yoloscale.config.resuming import Done, is_free
from yoloscale.config.schema import Config
from yoloscale.config.schema.sweep import SweepConfig
from yoloscale.config.topology import differences, moved
from yoloscale.config.typed_again import changed
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch import anew
from yoloscale.launch.move import move, moved_run
from yoloscale.launch.prepare import prepare
from yoloscale.launch.start import asked
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.frozen_state import FrozenState
from yoloscale.runs.sweep_directory import SweepDirectory, read, write
from yoloscale.sweep.directory import take
from yoloscale.sweep.prepare import once_per_need, with_origin
from yoloscale.sweep.problems import all_right, attempt
from yoloscale.sweep.search.ready import anchored
from yoloscale.sweep.search.recorded import retyped
from yoloscale.sweep.search.search import open_search
from yoloscale.system.remarks import Say, once

CHANGEABLE = ("sweep.parallel", "sweep.max_failures")
_OWN_FILES = 100


def changed_settings(tokens: Sequence[str], frozen: SweepConfig) -> tuple[SweepConfig, list[str]]:
    """A sweep's settings with `parallel` and `max_failures` as typed, and the words that are for its points.

    Points take what changes nothing about their training (config/resuming.py), and where their data lies: the others of
    the sweep are finished as they were. Raises ConfigError for anything else.
    """
    line = split(tokens)
    values = dict(assignments(line))
    instead = (
        "points are compared, and some may be finished: resume one by itself, SWEEP/POINT, or type the sweep's own "
        "command with it, and the same name= for where they run, another one else"
    )
    problems = [
        Problem(key, "beside the name of a sweep", instead)
        for key in values
        if not (key in CHANGEABLE or is_free(key) or key.partition(".")[0] == "data")
    ]
    settings = {key: value for key, value in values.items() if key in CHANGEABLE}
    problems += [
        Problem(key, f"{value}", "write at least 1, or null for no limit")
        for key, value in settings.items()
        if value is not None and value < 1
    ]
    if problems:
        raise ConfigError(problems)
    changed_to = {key.removeprefix("sweep."): value for key, value in settings.items()}
    words = [token for token in anchored(line).tokens if not anew.key_of(token).startswith("sweep.")]
    return replace(frozen, **changed_to), words


def change_points(sweep: SweepDirectory, runs: Sequence[RunDirectory], words: Sequence[str], say: Say) -> None:
    """Let points go on as typed, and those of a search that are still to come: frozen anew and put on record.

    Nothing is written before every point is known to be right, and nobody else has one; what they need is looked after
    once. Raises ConfigError.
    """
    if not words:
        return
    if swept := [key for key in map(anew.key_of, words) if key in _swept(sweep)]:
        raise ConfigError([Problem(key, "what the points differ in", "leave it out") for key in swept])
    say, bases = once(say), [sweep.base] if sweep.base.exists() else []
    names = [*(run.name for run in runs), *("the points to come" for _ in bases)]
    states = all_right([attempt(FrozenState.of, run) for run in runs], names[: len(runs)])
    look = once_per_need(lambda config: prepare(config, say))
    outcomes = [attempt(_of_run, run, state, words, look) for run, state in zip(runs, states, strict=True)]
    outcomes_to_come = [attempt(_to_come, base, words, look) for base in bases]
    with _locked(sweep, runs) as locks:
        states = all_right([attempt(_as_now, *each) for each in zip(runs, states, strict=True)], names[: len(runs)])
        checked = [attempt(_checked, *each) for each in zip(runs, states, outcomes, strict=True)]
        checked += [attempt(_checked_base, base, config) for base, config in zip(bases, outcomes_to_come, strict=True)]
        configs, keys = all_right(checked, names), list(map(anew.key_of, words))
        for run_lock, state, config in zip(locks, states, configs, strict=False):
            typed = [*anew.without(anew.typed_for(run_lock.run), keys), *words]
            move(run_lock.run, state.config, config, typed, say, by_resume=True)
        for base, config in zip(bases, configs[len(runs) :], strict=True):
            freeze(config, base)
        record = read(sweep)
        space = None if record.space is None else retyped(record.space, words)  # points to come are composed of it
        write(sweep, replace(record, overrides=(*anew.without(record.overrides, keys), *words), space=space))


@contextmanager
def _locked(sweep: SweepDirectory, runs: Sequence[RunDirectory]) -> Iterator[list[RunLock]]:
    """Take the sweep and all of these runs. Raises ConfigError that names each of them that somebody else has."""
    with ExitStack() as stack:
        stack.enter_context(_room_for_files(len(runs)))
        stack.enter_context(take(sweep))

        def hold(run: RunDirectory) -> RunLock:
            run.job.mkdir(exist_ok=True)
            run_lock = lock(run)
            stack.callback(run_lock.release)
            return run_lock

        yield all_right([attempt(hold, run) for run in runs], [run.name for run in runs])


@contextmanager
def _room_for_files(count: int) -> Iterator[None]:
    """Let this process have so many files open beside its own: each lock is one, and 1024 are usual.

    Raises ConfigError if the machine does not allow so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + _OWN_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        found = f"{count} points, for which {needed} files are open at once; {hard} may be here (`ulimit -Hn`)"
        raise ConfigError(Problem("SWEEP", found, "raise that limit, or type this on a machine that allows more"))
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _swept(sweep: SweepDirectory) -> set[str]:
    """The keys that the points differ in."""
    record = read(sweep)
    searched = open_search(sweep).space.dimensions if record.settings.search is not None else ()
    chosen = {anew.key_of(override) for point in record.points for override in point.overrides}
    return chosen | {each.key for each in searched}


def _as_now(run: RunDirectory, state: FrozenState) -> FrozenState:
    return FrozenState.now(run, state) or FrozenState.of(run)


def _of_run(run: RunDirectory, state: FrozenState, words: Sequence[str], look: Callable[[Config], Config]) -> Config:
    config = asked(run, state.config, words)
    if problems := validate(config):
        raise ConfigError(problems)
    assert isinstance(config, Config), "a point trains"
    return with_origin(config, look(config))


def _to_come(base: Path, words: Sequence[str], look: Callable[[Config], Config]) -> Config:
    config = changed(load(base), words, lambda: "start another sweep:\nyoloscale train -m …", Done())
    return with_origin(config, look(config))


def _checked(run: RunDirectory, state: FrozenState, config: Config | ConfigError) -> Config:
    if isinstance(config, ConfigError):
        raise config
    return moved_run(run, state.config, config, by_resume=True)


def _checked_base(base: Path, config: Config | ConfigError) -> Config:
    if isinstance(config, ConfigError):
        raise config
    moved_config = moved(load(base), config, Done())
    if different := differences(moved_config, config):
        instead = "the points to come are trained on the dataset that the others were"
        raise ConfigError([Problem(key, f"{new} instead of {old}", instead) for key, old, new in different])
    return moved_config
