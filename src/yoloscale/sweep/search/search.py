"""A search on disk: its sweep's folder with the study beside sweep.yaml, and its points as they are asked for.

runs/<sweep>/study.journal   what each point was given and has shown (Optuna's; see study/journal.py)
runs/<sweep>/base.yaml       the config of the space's first point, frozen: what all points have in common
runs/<sweep>/trial-007/      a point: a run, with its number in the study in its config
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from yoloscale.backends.check import validate
from yoloscale.config.compose.many import compose_each
from yoloscale.config.freeze import load
from yoloscale.config.schema import Config
from yoloscale.config.schema.sweep import SearchConfig, TrialConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.configure import task_of
from yoloscale.launch.prepare import prepare
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.endings import record_failure
from yoloscale.runs.jobs import nobody
from yoloscale.runs.status import read_result, status
from yoloscale.runs.sweep_directory import SweepDirectory, read, write
from yoloscale.study import study as studies
from yoloscale.sweep.configure import ConfiguredPoint, resolved
from yoloscale.sweep.freeze import freeze_point, swept_point
from yoloscale.sweep.grammar.points import Point
from yoloscale.sweep.grammar.space import Space
from yoloscale.sweep.problems import attempt
from yoloscale.sweep.search import sampling
from yoloscale.sweep.search.recorded import recorded_space
from yoloscale.sweep.search.settings import total
from yoloscale.system.machine import this_machine
from yoloscale.system.remarks import silent

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Search:
    """A search whose folder is there."""

    sweep: SweepDirectory
    space: Space
    settings: SearchConfig
    base: Config

    @property
    def total(self) -> int:
        """How many points there will be."""
        return total(self.settings, self.space)


def open_search(sweep: SweepDirectory) -> Search:
    """A search that was frozen before. Raises ConfigError if it is none."""
    record = read(sweep)
    if record.settings.search is None:
        raise ConfigError(Problem(str(sweep.path), "a sweep over given values, no search", "give it another name="))
    space = recorded_space(record, sweep.journal)
    return Search(sweep, space, record.settings.search, load(sweep.base))


def free_index(search: Search) -> int | None:
    """The first place that has no point yet; None if all have one."""
    places = {point.index for point in read(search.sweep).points}
    return next((index for index in range(search.total) if index not in places), None)


def ask_point(search: Search, index: int) -> tuple[RunDirectory, str | None] | None:
    """Ask the study for the point of a free place, freeze it and put it on record; None if there is no other point.

    Call it locked. With the point comes why it cannot be trained: then it is on record as failed. Raises ConfigError
    where the study cannot be read.
    """
    name = f"trial-{index:03d}"
    try:
        trial = sampling.ask(search.sweep.journal, search.settings, search.space, name)
    except studies.StudyError as error:
        raise ConfigError(damaged(search, error)) from error
    if trial is None:
        return None
    number, values = trial
    run, point = search.sweep.run(name), search.space.point(index, values)
    if run.path.exists():
        shutil.rmtree(run.path)  # of a launcher that was killed before its point was on record
    why = _freeze(search, run, point, number)
    record = read(search.sweep)
    points = sorted((*record.points, swept_point(point, name)), key=lambda each: each.index)
    write(search.sweep, replace(record, points=tuple(points)))
    return run, why


def forget_removed(search: Search) -> None:
    """Free the places of points whose folders somebody has removed: other points get them. Call it locked.

    Call `reconcile` before any is asked for.
    """
    record = read(search.sweep)
    there = tuple(point for point in record.points if search.sweep.run(point.name).config.exists())
    if len(there) < len(record.points):
        write(search.sweep, replace(record, points=there))


def reconcile(search: Search) -> None:
    """Tell the study what has become of points whose ranks could not. Call it locked. Raises ConfigError."""
    try:
        study = studies.load(search.sweep.journal)
        names = {point.name for point in read(search.sweep).points}
        for trial in study.get_trials(deepcopy=False):
            name = trial.user_attrs.get(sampling.POINT)
            if trial.state.is_finished() or trial.state.name == "WAITING":  # which the next one that asks is given
                continue
            if name not in names or name is None:
                why = "its launcher was killed before the point was frozen"
                studies.tell_failed(study, trial.number, why, sampling.ABANDONED)
            else:
                tell_end(study, trial.number, search.sweep.run(name), search.settings)
    except (studies.StudyError, *studies.FAULTS) as error:
        raise ConfigError(damaged(search, error)) from error


def tell_end(study: optuna.Study, number: int, run: RunDirectory, settings: SearchConfig) -> None:
    """Tell the study how a run has ended, if it has."""
    result = read_result(run)
    if result is None:
        now = status(run, nobody)
        if now.has_failed:  # one that a machine took along goes on
            studies.tell_failed(study, number, now.error or "it failed")
    else:
        studies.tell_result(study, number, result, settings)


def damaged(search: Search, error: Exception) -> Problem:
    """What to say of a study that cannot be read."""
    instead = f"start the search again under another name=; the runs in {search.sweep.path} stay as they are"
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        instead = "make room, then the same command again goes on with it"
    return Problem("study.journal", str(error), instead)


def _freeze(search: Search, run: RunDirectory, point: Point, number: int) -> str | None:
    """Make the run of a point; why it cannot be trained, if so."""
    run.job.mkdir(parents=True)
    (composed,) = compose_each([point.tokens], task_of)
    if isinstance(composed, ConfigError):
        return _failed(run, composed.problems)
    machine = this_machine()
    config = resolved(composed, search.base, machine)
    trial = TrialConfig(number, os.path.join("..", search.sweep.journal.name), search.settings)  # noqa: PTH118
    # loggers were checked where it was started; on a node without a key, say, the run logs offline
    problems = tuple(each for each in validate(config, machine) if not each.key.startswith("logger."))
    prepared = attempt(prepare, config, silent)  # all of it is there; it tells the task
    if isinstance(prepared, ConfigError):
        problems = problems or prepared.problems
    else:
        config = prepared
    freeze_point(run, ConfiguredPoint(point, run.name, composed, replace(config, trial=trial)), {})
    return _failed(run, problems) if problems else None


def _failed(run: RunDirectory, problems: Sequence[Problem]) -> str:
    reason = "; ".join(f"{problem.key}: {problem.found}" for problem in problems)
    record_failure(run, None, reason)
    return reason
