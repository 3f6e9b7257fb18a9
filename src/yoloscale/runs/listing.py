"""Which runs and sweeps there are, and which one a person means."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import foreign
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import as_recorded, is_job_id, run_in_array, run_of
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep, sweep_of

T = TypeVar("T")
MAX_NEAR_NAMES = 3
MAX_DEPTH = 4  # of a file in a run: checkpoints/step-000000001/state.pt, wandb/run-…/files/config.yaml


def all_runs(folder: Path) -> list[RunDirectory]:
    """Every run directly below a folder, oldest first; none if the folder does not exist."""
    return _oldest_first(folder, RunDirectory, lambda run: run.config)


def all_sweeps(folder: Path) -> list[SweepDirectory]:
    """Every sweep directly below a folder, oldest first; none if the folder does not exist."""
    return _oldest_first(folder, SweepDirectory, lambda sweep: sweep.record)


def _oldest_first(folder: Path, kind: Callable[[Path], T], mark: Callable[[T], Path]) -> list[T]:
    """What lies directly below a folder, by the age of the file that makes it what it is."""
    try:
        paths = [*folder.absolute().iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    marks = [(mark(kind(path)), path) for path in paths]
    dated = [(file.stat().st_mtime, path.name, path) for file, path in marks if file.is_file()]
    return [kind(path) for _, _, path in sorted(dated)]


def find(name_or_path: str, folder: Path) -> RunDirectory:
    """The run that a person means: by its name below the folder, by its path or that of anything in it, by its job.

    Raises ConfigError with near names, or with the command that trains on from weights of Ultralytics'.
    """
    for place in _places(name_or_path, folder):
        if (target := around(place)) is not None and isinstance(target, RunDirectory):
            return target
    job = as_recorded(name_or_path)
    if is_job_id(job) and (run := run_of(job, _runs_and_points(folder))) is not None:
        return run
    if sweep := find_sweep(name_or_path, folder):
        first = sweep.points()[0].name
        within = sweep.name if is_job_id(job) else _sweep_as_typed(name_or_path, sweep)
        instead = f"give one of its runs, like {shlex.quote(f'{within}/{first}')}"
        raise ConfigError(Problem("RUN", f"{name_or_path!r} is a sweep of {len(sweep.points())} runs", instead))
    for place in _places(name_or_path, folder):
        if problem := foreign.problem_of(name_or_path, place):
            raise ConfigError(problem)
    raise ConfigError(_no_run(name_or_path, folder))


def find_sweep(name_or_path: str, folder: Path) -> SweepDirectory | None:
    """The sweep of that name below the folder, at that path or around it, or with points in that array; else None."""
    target = next((target for place in _places(name_or_path, folder) if (target := around(place)) is not None), None)
    job = as_recorded(name_or_path)
    if target is not None or not is_job_id(job):
        return target if isinstance(target, SweepDirectory) else None
    point = run_in_array(job, [run for sweep in all_sweeps(folder) for run in all_runs(sweep.path)])
    return sweep_of(point) if point is not None else None


def around(path: Path) -> RunDirectory | SweepDirectory | None:
    """The run or the sweep at a path, or the innermost one that it lies in; the path itself need not be there (yet)."""
    if RunDirectory(path).config.is_file():
        return RunDirectory(path)
    if is_sweep(path):
        return SweepDirectory(path)
    for folder in list(path.parents)[:MAX_DEPTH]:
        run, inner = RunDirectory(folder), folder / path.relative_to(folder).parts[0]
        # a project may have a config.yaml of its own, so more is asked of a folder that was not named itself
        if run.config.is_file() and run.job.is_dir() and (path.exists() or inner in (run.weights, run.checkpoints)):
            return run
        if is_sweep(folder) and path.exists():
            return SweepDirectory(folder)
    return None


def _places(name_or_path: str, folder: Path) -> list[Path]:
    """Where a name or a path may lead to, absolute; links in the folder of runs are let be."""
    if not name_or_path:
        return []
    return [(folder / name_or_path).absolute(), Path(name_or_path).expanduser().resolve()]


def _sweep_as_typed(name_or_path: str, sweep: SweepDirectory) -> str:
    """A sweep's path as short as it was typed, less what was named within."""
    typed = Path(name_or_path)
    return next((str(part) for part in (typed, *typed.parents) if part.name == sweep.name), str(sweep.path))


def _runs_and_points(folder: Path) -> list[RunDirectory]:
    return all_runs(folder) + [run for sweep in all_sweeps(folder) for run in all_runs(sweep.path)]


def _no_run(name_or_path: str, folder: Path) -> Problem:
    typed = Path(name_or_path).expanduser()
    if name_or_path and (within := all_runs(typed)):
        newest = " or ".join(shlex.quote(str(typed / run.name)) for run in within[-MAX_NEAR_NAMES:])
        return Problem("RUN", f"{name_or_path!r} is a folder of runs", f"write {newest}")
    words = f"{name_or_path!r} is no run below {folder}"
    if len(typed.parts) > 1:
        words = f"{name_or_path!r} is not in a run" if typed.exists() else f"there is no {name_or_path!r}"
    return Problem("RUN", words, _instead(name_or_path, folder))


def _instead(name: str, folder: Path) -> str:
    names = [run.name for run in all_runs(folder)]
    near = difflib.get_close_matches(Path(name).name, names, n=MAX_NEAR_NAMES, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(candidate) for candidate in near) + "?"
    if names:
        return "`yoloscale runs` lists them; a path to a run directory works from any folder"
    elsewhere = "`--runs DIR` looks elsewhere, a path to a run directory works from any folder"
    return f"there are no runs in {folder} yet; {elsewhere}"
