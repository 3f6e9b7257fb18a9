"""What may be typed beside the name of a sweep that goes on."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
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
from yoloscale.sweep.prepare import needs
from yoloscale.sweep.problems import gathered
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
    given = dict(assignments(line))
    instead = (
        "points are compared, and some may be finished: resume one by itself, SWEEP/POINT, or type the sweep's own "
    )
    instead += "command with it, and the same name= for where they run, another one else"
    taken = {key: key in CHANGEABLE or is_free(key) or key.partition(".")[0] == "data" for key in given}
    problems = [Problem(key, "beside the name of a sweep", instead) for key in given if not taken[key]]
    settings = {key: value for key, value in given.items() if key in CHANGEABLE}
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
    found, done = list[Config | ConfigError](), dict[str, Config | ConfigError]()
    seen = [FrozenState.of(run) for run in runs]
    asked_of_runs = (_asked(run, state.config, words) for run, state in zip(runs, seen, strict=True))
    for config in [*asked_of_runs, *(_asked_of_base(load(base), words) for base in bases)]:
        if isinstance(config, Config):
            key = needs(config)
            if key not in done:
                done[key] = _prepared(config, say)
            config = _with_findings(config, done[key])
        found.append(config)
    with _locked(sweep, runs) as taken:
        now = [FrozenState.now(run, state) or state for run, state in zip(runs, seen, strict=True)]
        checked = [_checked(run, state.config, config) for run, state, config in zip(runs, now, found, strict=False)]
        checked += [_checked_base(base, config) for base, config in zip(bases, found[len(runs) :], strict=True)]
        problems = [each.problems if isinstance(each, ConfigError) else () for each in checked]
        if told := gathered(problems, [*(run.name for run in runs), *("the points to come" for _ in bases)]):
            raise ConfigError(told)
        configs, keys = [each for each in checked if isinstance(each, Config)], list(map(anew.key_of, words))
        for each, state, config in zip(taken, now, configs, strict=False):
            typed = [*anew.without(anew.typed_for(each.run), keys), *words]
            move(each.run, state.config, config, typed, say, by_resume=True)
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
        taken, problems = list[RunLock](), list[Sequence[Problem]]()
        for run in runs:
            run.job.mkdir(exist_ok=True)
            try:
                taken.append(lock(run))
                stack.callback(taken[-1].release)
                problems.append(())
            except ConfigError as error:
                problems.append(error.problems)
        if told := gathered(problems, [run.name for run in runs]):
            raise ConfigError(told)
        yield taken


@contextmanager
def _room_for_files(count: int) -> Iterator[None]:
    """Let this process have so many files open beside its own: each lock is one, and 1024 are usual.

    Raises ConfigError if the machine does not allow so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OWN_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        found = f"{count} points, for which {wanted} files are open at once; {hard} may be here (`ulimit -Hn`)"
        raise ConfigError(Problem("SWEEP", found, "raise that limit, or type this on a machine that allows more"))
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
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


def _asked(run: RunDirectory, frozen: Config, words: Sequence[str]) -> Config | ConfigError:
    try:
        config = asked(run, frozen, words)
        return ConfigError(problems) if (problems := validate(config)) else config
    except ConfigError as error:
        return error


def _asked_of_base(frozen: Config, words: Sequence[str]) -> Config | ConfigError:
    try:
        return changed(frozen, words, lambda: "start another sweep:\nyoloscale train -m …", Done())
    except ConfigError as error:
        return error


def _prepared(config: Config, say: Say) -> Config | ConfigError:
    try:
        return prepare(config, say)
    except ConfigError as error:
        return error


def _with_findings(config: Config, prepared: Config | ConfigError) -> Config | ConfigError:
    if isinstance(prepared, ConfigError):
        return prepared
    found = prepared.origin
    origin = replace(config.origin, folder=found.folder, dataset=found.dataset, opened=found.opened)
    return replace(config, origin=origin)


def _checked_base(base: Path, config: Config | ConfigError) -> Config | ConfigError:
    if isinstance(config, ConfigError):
        return config
    found = moved(load(base), config, Done())
    if different := differences(found, config):
        told = "the points to come are trained on the dataset that the others were"
        return ConfigError([Problem(key, f"{new} instead of {old}", told) for key, old, new in different])
    return found


def _checked(run: RunDirectory, frozen: Config, config: Config | ConfigError) -> Config | ConfigError:
    try:
        return config if isinstance(config, ConfigError) else moved_run(run, frozen, config, by_resume=True)
    except ConfigError as error:
        return error
