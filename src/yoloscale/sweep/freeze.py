"""All points of a sweep as run directories, and sweep.yaml when they are complete."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from yoloscale.backends.run_lock import lock
from yoloscale.config.freeze import Entries, Sections, dump, entries, load_own, new_id
from yoloscale.config.plan import is_automatic, plan, world_size
from yoloscale.config.resuming import said
from yoloscale.config.schema import Config, PathsConfig
from yoloscale.config.schema.sweep import SweepConfig
from yoloscale.config.topology import differences, moved
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.move import done_by, move, not_compared
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import SweepDirectory, SweepPoint, SweepRecord, is_sweep, read, write
from yoloscale.sweep.configure import ConfiguredPoint, ConfiguredSweep, resolved
from yoloscale.sweep.directory import TakenSweep, take
from yoloscale.sweep.grammar.points import Point
from yoloscale.sweep.problems import all_right, attempt
from yoloscale.system.files import first_free, is_part, make_first_free, write_whole
from yoloscale.system.formatting import another
from yoloscale.system.remarks import Say, once, silent

_MAX_NAMED = 3


def freeze_all(sweep: ConfiguredSweep, typed: Sequence[str], say: Say = silent) -> TakenSweep:
    """Make the sweep's folder and every point's run directory, or take up a sweep of that name; locked.

    `typed` is put on record. Points that are there stay as they are, but for where they run; `say` gets a line for what
    makes them others. Raises ConfigError if the folder holds something else, another sweep, or points of another
    config.
    """
    with ExitStack() as after_error:
        locked_sweep = after_error.enter_context(take_folder(sweep))
        if locked_sweep.is_new:
            with removed_if_it_fails(locked_sweep.directory):
                _freeze_new(locked_sweep.directory, sweep, typed)
        else:
            _take_up(locked_sweep.directory, sweep, say)
        name_gpus(sweep, locked_sweep.directory)
        after_error.pop_all()
    return locked_sweep


def take_folder(sweep: ConfiguredSweep) -> TakenSweep:
    """Make the sweep's folder if it is not there, and lock it. Raises ConfigError if it holds something else."""
    if sweep.name is None:
        directory = SweepDirectory(make_first_free(sweep.directory(sweep.default_name).path))
    else:
        directory = sweep.directory(sweep.name)
        refuse_if_foreign(directory)  # before the lock is written into it, and again under the lock
    with ExitStack() as after_error:
        locked_sweep = after_error.enter_context(take(directory))
        refuse_if_foreign(directory)
        locked_sweep.is_new = not is_sweep(directory.path)
        after_error.pop_all()
    return locked_sweep


def name_gpus(sweep: ConfiguredSweep, directory: SweepDirectory) -> None:
    """Put down which of the visible GPUs points on this machine share out among them, unless it is all."""
    gpus = sweep.points[0].composed.cluster.gpus
    if sweep.first.cluster.is_here and gpus is None:
        directory.gpus.unlink(missing_ok=True)
    elif sweep.first.cluster.is_here:
        write_whole(directory.gpus, json.dumps(gpus))


@contextmanager
def removed_if_it_fails(directory: SweepDirectory) -> Iterator[None]:
    """Within, a new sweep is made: after an error, or Ctrl-C, nothing of it stays; the caller has taken it."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        if not is_sweep(directory.path):
            shutil.rmtree(directory.path, ignore_errors=True)  # the error that is raised says more
        raise


def proposed_directory(sweep: ConfiguredSweep) -> SweepDirectory:
    """The folder that `freeze_all` would take if nobody came between; makes nothing."""
    if sweep.name is not None:
        return sweep.directory(sweep.name)
    return SweepDirectory(first_free(sweep.directory(sweep.default_name).path))


def refuse_if_taken(sweep: ConfiguredSweep) -> None:
    """Raise ConfigError if the folder of that name holds something else, another sweep, or points of another config."""
    if sweep.name is None:
        return
    directory = sweep.directory(sweep.name)
    refuse_if_foreign(directory)
    if is_sweep(directory.path):
        _moves(directory, sweep)


def say_not_compared(sweep: ConfiguredSweep, say: Say) -> None:
    """Say, before a start, which data elsewhere the points that go on are then compared with."""
    if sweep.name is None:
        return
    directory, say, sections = sweep.directory(sweep.name), once(say), Sections()
    runs = [(directory.run(each.name), each) for each in sweep.points]
    paths = [(directory.base, sweep.points[0])]
    paths += [(run.config, each) for run, each in runs if not run.result.exists()]
    for path, each in paths:
        frozen = load_own(path, sections) if path.exists() else each.config
        if (line := not_compared(frozen, each.config, of=f"sweep {directory.name!r}")) is not None:
            say(line)


def _freeze_new(directory: SweepDirectory, sweep: ConfiguredSweep, typed: Sequence[str]) -> None:
    names = {each.name for each in sweep.points}
    for entry in directory.path.iterdir():
        if entry.is_dir() and entry != directory.job and entry.name not in names:
            shutil.rmtree(entry)  # of a command that was killed before its sweep was complete
    remove_search(directory)
    cache: Entries = {}
    for each in sweep.points:
        freeze_point(directory.run(each.name), each, cache)
    _sync_file_system(directory.path)
    points = [swept_point(each.point, each.name) for each in sweep.points]
    write(directory, SweepRecord(tuple(typed), tuple(points), sweep.first.sweep))


def swept_point(point: Point, name: str) -> SweepPoint:
    """A point as it is put on record."""
    tokens = tuple(choice.token for choice in point.swept)
    return SweepPoint(point.index, name, tokens, {choice.key: choice.value for choice in point.swept})


def freeze_point(run: RunDirectory, each: ConfiguredPoint, cache: Entries) -> None:
    """As `create_or_resume` leaves a run, but for the sync, which is done once for all."""
    events.begin(run)
    run.job.mkdir(parents=True, exist_ok=True)
    run.overrides.write_text(dump(_own_overrides(each)), encoding="utf-8")
    _write_config(run, replace(planned(each.config, each.name), id=new_id()), cache)


def _write_config(run: RunDirectory, config: Config, cache: Entries) -> None:
    write_whole(run.config, "".join(entries(config, cache).values()))


def _own_overrides(each: ConfiguredPoint) -> list[str]:
    """What would be typed to start the point by itself; the name typed, and `sweep`, are the sweep's."""
    keys = [(token.partition("=")[0].strip().lstrip("+"), token) for token in each.point.tokens]
    return [token for key, token in keys if key not in ("name", "sweep") and not key.startswith("sweep.")]


def planned(config: Config, name: str) -> Config:
    """The config of a point's first start: later ones keep its split of the batch."""
    ranks = config.cluster.planned_ranks or world_size(config)
    paths = replace(config.paths, runs=PathsConfig().runs)  # not frozen; as `load` gives it back
    cluster = replace(config.cluster, planned_ranks=ranks)
    origin = replace(config.origin, folder=config.origin.folder or str(Path.cwd()))
    return replace(config, name=name, paths=paths, sweep=SweepConfig(), cluster=cluster, origin=origin)


def _take_up(directory: SweepDirectory, sweep: ConfiguredSweep, say: Say) -> None:
    cache: Entries = {}
    moves = _moves(directory, sweep)
    going_on = [(run, config) for run, _, config in moves if config is not None and not run.result.exists()]
    for line in dict.fromkeys(line for run, config in going_on for line in said(load_own(run.config), config)):
        say(f"sweep {directory.name!r} goes on with {line}")
    for run, each, config in moves:
        if config is None:
            freeze_point(run, each, cache)  # somebody removed it
        elif not events.exist(run):
            _write_config(run, config, cache)
        else:
            _move_started(run, config)
    if moves:
        _sync_file_system(directory.path)
    change_settings(directory, sweep.first.sweep)


def change_settings(directory: SweepDirectory, typed: SweepConfig) -> None:
    """Put down what the sweep goes on with of what may change: `parallel`, `max_failures`; the caller has taken it."""
    record = read(directory)
    settings = replace(record.settings, parallel=typed.parallel, max_failures=typed.max_failures)
    if settings != record.settings:
        write(directory, replace(record, settings=settings))


def _move_started(run: RunDirectory, config: Config) -> None:
    """Put down where a point goes on that was started before; one that is finished, or goes on now, stays as it is."""
    if run.result.exists():
        return
    run.job.mkdir(exist_ok=True)
    try:
        run_lock = lock(run)
    except ConfigError:
        return
    try:
        move(run, load_own(run.config), config)
    finally:
        run_lock.release()


def _moves(
    directory: SweepDirectory, sweep: ConfiguredSweep
) -> list[tuple[RunDirectory, ConfiguredPoint, Config | None]]:
    """The points that are to go on elsewhere than they were frozen for, with what they are to be frozen with.

    None for those that are not there any more. Raises ConfigError if more than where they run is to change, or if it
    is not the same points.
    """
    _refuse_other_points(directory, sweep)
    sections = Sections()

    def move_of(each: ConfiguredPoint) -> tuple[RunDirectory, ConfiguredPoint, Config | None] | None:
        run = directory.run(each.name)
        if not run.config.exists():
            return run, each, None
        frozen = load_own(run.config, sections)
        config = gone_on(directory, frozen, planned(resolved(each.composed, frozen, sweep.machine), each.name), run)
        return None if config == frozen else (run, each, config)

    moves = all_right([attempt(move_of, each) for each in sweep.points], [each.name for each in sweep.points])
    return [move for move in moves if move is not None]


def gone_on(directory: SweepDirectory, frozen: Config, typed: Config, run: RunDirectory | None = None) -> Config:
    """What a point is to be frozen with; itself if nothing differs. Raises ConfigError as `moved_run` does of a run.

    `run`: its own, whose batch may have been sized when it was started.
    """
    if replace(typed, id=frozen.id) == frozen:
        return frozen
    config = moved(frozen, typed)
    if problems := [another(*entry, of=f"sweep {directory.name!r}") for entry in differences(config, typed)]:
        raise ConfigError(problems)
    if not is_automatic(config.batch):
        plan(config)
    elif run is not None and (batch := done_by(run).batch) is not None:
        plan(config, batch=batch)
    return config


def _refuse_other_points(directory: SweepDirectory, sweep: ConfiguredSweep) -> None:
    there, here = (dict.fromkeys(each.name for each in points) for points in (read(directory).points, sweep.points))
    if there.keys() == here.keys():
        return
    only_there = _listed([name for name in there if name not in here])
    only_here = _listed([name for name in here if name not in there])
    found = f"sweep {directory.name!r} has other points; only there: {only_there}; only here: {only_here}"
    raise ConfigError(Problem("name", found, "give another name=, or the same values to go on with it"))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return (", ".join(names[:_MAX_NAMED]) or "none") + more


def refuse_if_foreign(directory: SweepDirectory) -> None:
    """Raise ConfigError unless the folder is free, or holds only what a freeze that was killed may have left."""
    if not directory.path.exists() or is_sweep(directory.path):
        return
    if RunDirectory(directory.path).config.exists():
        raise ConfigError(Problem("name", f"{directory.path} is a run, no sweep", "give another name="))
    if not directory.path.is_dir() or not all(_is_ours(directory, entry) for entry in directory.path.iterdir()):
        found = f"{directory.path} exists and is no sweep (it has no sweep.yaml)"
        raise ConfigError(Problem("name", found, "give another name="))


def remove_search(directory: SweepDirectory) -> None:
    """Remove what a search leaves whose command was killed before sweep.yaml was there; the caller has taken it."""
    for entry in directory.path.iterdir():
        if _is_of_search(directory, entry):
            entry.unlink(missing_ok=True)


def _is_of_search(directory: SweepDirectory, entry: Path) -> bool:
    return entry.name.startswith((directory.journal.name, directory.base.name)) and entry.is_file()


def _is_ours(directory: SweepDirectory, entry: Path) -> bool:
    if entry == directory.job or is_part(entry, of=directory.record) or _is_of_search(directory, entry):
        return True
    if "=" not in entry.name or not entry.is_dir() or entry.is_symlink():
        return False
    run = RunDirectory(entry)
    return all(
        inner in (run.config, run.overrides)
        or is_part(inner, of=run.config)
        or (inner == run.job and not any(inner.iterdir()))
        for inner in entry.iterdir()
    )


def _sync_file_system(folder: Path) -> None:
    """Put all that was written on disk, at once: a sync for each of a thousand files takes a minute."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not hasattr(libc, "syncfs") or libc.syncfs(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)
