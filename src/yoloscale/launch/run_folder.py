"""Taking a run directory: which name, whether it may be used, and that nobody else uses it now."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from yoloscale.backends.run_lock import LockedRun, lock, refuse_if_submitted
from yoloscale.config.freeze import dump, freeze, load, new_id
from yoloscale.config.plan import world_size
from yoloscale.config.schema import Config, RunConfig, ValConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch import anew
from yoloscale.launch.contents import with_contents
from yoloscale.launch.move import move, moved_run
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.frozen_state import FrozenState
from yoloscale.runs.status import is_finished
from yoloscale.system.files import first_free, is_part, make_first_free
from yoloscale.system.remarks import Say, silent


def create_or_resume(
    config: RunConfig, overrides: list[str], say: Say = silent, seen: FrozenState | None = None
) -> LockedRun:
    """Make or take up the run directory of a resolved config, lock it, and freeze the config into it.

    A run that is there goes on where this config says. Raises ConfigError if it is finished, in use, or another one.
    `say` gets a line for what a run that goes on has otherwise by now. `seen`: what the caller has read of that run.
    """
    if config.name is None:
        run = RunDirectory(make_first_free(named_run(config, default_name(config)).path))
        run.job.mkdir()
        config = replace(config, name=run.name)
    else:
        run = named_run(config, config.name)
        seen = FrozenState.now(run, seen)
        refuse_if_taken(run, config, seen)  # before anything is written into the folder, and again under the lock
        run.job.mkdir(parents=True, exist_ok=True)
    taken = lock(run)
    try:
        seen = FrozenState.now(run, seen)
        if seen is not None:
            refuse_if_finished(run)
            return taken.with_config(move(taken.run, seen.config, config, overrides, say), seen)
        _refuse_if_foreign(run)
        _make(run, config, overrides, say)
        taken.own()
        return taken.with_config(load(run.config, of=RunConfig))
    except BaseException:
        taken.release()
        raise


def _make(run: RunDirectory, config: RunConfig, overrides: list[str], say: Say) -> None:
    """Fill the folder of a run that is made; it is gone again where that fails."""
    try:
        events.begin(run)
        run.overrides.write_text(dump(overrides), encoding="utf-8")
        config = with_contents(_planned(config), run, say)
        freeze(config, run.config)  # last: a folder with config.yaml is a run
    except BaseException:  # a full disk, too
        shutil.rmtree(run.path, ignore_errors=True)
        raise


def named_run(config: RunConfig, name: str) -> RunDirectory:
    """Where a run of this name lies."""
    return RunDirectory((Path(config.paths.runs).expanduser() / name).absolute())


def proposed_run(config: RunConfig) -> RunDirectory:
    """The run directory that `create_or_resume` would take if nobody came between; makes nothing."""
    if config.name is not None:
        return named_run(config, config.name)
    return RunDirectory(first_free(named_run(config, default_name(config)).path))


def refuse_if_taken(run: RunDirectory, config: RunConfig, seen: FrozenState | None) -> None:
    """Raise ConfigError if the directory holds a finished or a submitted run, another one, or something else."""
    if seen is None:
        _refuse_if_foreign(run)
        return
    refuse_if_finished(run)
    refuse_if_submitted(run)
    moved_run(run, seen.config, config)


def refuse_if_finished(run: RunDirectory, changes: Sequence[str] = ()) -> None:
    """Raise ConfigError to somebody who starts or resumes a finished run, with `changes` as typed.

    More epochs do not go on from its end, where the learning rate is almost nothing: they are another run.
    """
    if is_finished(run):
        said = f"run {run.name!r} is finished: {run.path}"
        instead = f"give another name= to start a new run, or {anew.offer(run, changes)}"
        raise ConfigError(Problem("name", said, instead))


def _planned(config: RunConfig) -> RunConfig:
    """The config of a first start: later ones keep its id, its split of the batch and its working folder."""
    cluster = replace(config.cluster, planned_ranks=world_size(config))
    origin = replace(config.origin, folder=config.origin.folder or str(Path.cwd()))
    return replace(config, id=new_id(), cluster=cluster, origin=origin)


def default_name(config: RunConfig) -> str:
    """`<model>-<dataset>`, or `<model>-predict` where there is none, as a folder name."""
    of_what = config.data.name if isinstance(config, (Config, ValConfig)) else config.kind
    return re.sub(r"[/\s]+", "-", f"{config.model.name}-{of_what}").strip("-.") or "run"


def _refuse_if_foreign(run: RunDirectory) -> None:
    if run.path.exists() and not all(_is_ours(run, entry) for entry in run.path.iterdir()):
        raise ConfigError(
            Problem("name", f"{run.path} exists and is no run (it has no config.yaml)", "give another name=")
        )


def _is_ours(run: RunDirectory, entry: Path) -> bool:
    """Whether it is made before config.yaml: all there is of a run whose launcher was killed just then."""
    is_unfinished = is_part(entry, of=run.config) or is_part(entry, of=run.manifest)
    return entry in (run.job, run.overrides, run.manifest) or is_unfinished
