"""From a composed config to a run that goes on: here and watched, or in the background."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from yoloscale.agent.previous_start import end_leftovers
from yoloscale.backends.check import validate
from yoloscale.backends.run_lock import RunLock, lock
from yoloscale.config.freeze import load
from yoloscale.config.schema import Config
from yoloscale.config.typed_again import changed
from yoloscale.errors import ConfigError
from yoloscale.launch import anew
from yoloscale.launch.move import done_by, move, moved_run
from yoloscale.launch.prepare import prepare
from yoloscale.launch.run_folder import create_or_resume, finished_problem, named_run, refuse_if_taken
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.status import is_finished
from yoloscale.system.remarks import Say


def ready(config: Config, overrides: list[str], say: Say) -> RunLock:
    """Prepare all that a new or taken-up run needs, then take its directory. Raises ConfigError."""
    if config.name is not None:
        refuse_if_taken(named_run(config, config.name), config)
    taken = create_or_resume(prepare(config, say), overrides, say)
    try:
        end_leftovers(taken.run, say)
    except BaseException:
        taken.release()
        raise
    return taken


def ready_again(run: RunDirectory, say: Say, changes: Sequence[str] = ()) -> RunLock:
    """Take an unfinished run up where it stopped, with the config it was frozen with. Raises ConfigError.

    `changes` are settings as typed, to go on elsewhere or otherwise; they are frozen and put on record.
    """
    if is_finished(run):
        raise ConfigError(finished_problem(run, changes))
    wanted_again(run, changes)  # before anything is written into the folder, and again under the lock
    run.job.mkdir(exist_ok=True)
    taken = lock(run)
    try:
        end_leftovers(taken.run, say)
        wanted = prepared_again(run.path, wanted_again(run, changes), say)
        typed = [*anew.without(anew.typed_for(run), [anew.key_of(change) for change in changes]), *changes]
        move(taken.run, wanted, typed, say, by_resume=True)
    except BaseException:
        taken.release()
        raise
    return taken


def prepared_again(folder: Path, wanted: Config, say: Say) -> Config:
    """As `prepare`, for the run or sweep in a folder: what is wrong may be that the data lies elsewhere by now."""
    try:
        return prepare(wanted, say)
    except ConfigError as error:
        told = shlex.quote(str(folder))
        moved_data = f"if it lies elsewhere by now: yoloscale resume {told} data=PATH"
        raise ConfigError(
            [
                replace(problem, instead=f"{problem.instead}\n{moved_data}")
                if problem.key.partition(".")[0] == "data"
                else problem
                for problem in error.problems
            ]
        ) from error


def asked(run: RunDirectory, changes: Sequence[str]) -> Config:
    """What a run is asked to go on with: as it is frozen, but for changes as typed. Not validated, but for these."""
    frozen = load(run.config)
    if frozen.origin.folder is None:
        frozen = replace(frozen, origin=replace(frozen.origin, folder=_first_folder(run)))
    return changed(frozen, changes, lambda: anew.offer(run, changes), done_by(run)) if changes else frozen


def _first_folder(run: RunDirectory) -> str | None:
    """Where a run was started that was frozen by a version that did not put the folder down."""
    try:
        return str(json.loads(run.launch_record(1).read_text(encoding="utf-8"))["working_folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def wanted_again(run: RunDirectory, changes: Sequence[str]) -> Config:
    """What a run is to go on with. Raises ConfigError if it cannot, here or at all."""
    config = asked(run, changes)
    if problems := validate(config):  # this machine may have fewer GPUs than the one it was frozen on
        raise ConfigError(problems)
    return moved_run(run, config, by_resume=True)
