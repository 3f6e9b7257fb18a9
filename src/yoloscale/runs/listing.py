"""Which runs and sweeps there are, and which one a person means."""

from __future__ import annotations

import difflib
import shlex
from pathlib import Path

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import is_job_id, run_in_array, run_of
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep

MAX_NEAR_NAMES = 3


def all_runs(folder: Path) -> list[RunDirectory]:
    """Every run directly below a folder, oldest first; none if the folder does not exist."""
    try:
        candidates = [RunDirectory(path) for path in folder.absolute().iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [(run.config.stat().st_mtime, run.name, run) for run in candidates if run.config.is_file()]
    return [run for _, _, run in sorted(found, key=lambda entry: entry[:2])]


def all_sweeps(folder: Path) -> list[SweepDirectory]:
    """Every sweep directly below a folder, oldest first; none if the folder does not exist."""
    try:
        candidates = [SweepDirectory(path) for path in folder.absolute().iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [(sweep.record.stat().st_mtime, sweep.name, sweep) for sweep in candidates if is_sweep(sweep.path)]
    return [sweep for _, _, sweep in sorted(found, key=lambda entry: entry[:2])]


def find(name_or_path: str, folder: Path) -> RunDirectory:
    """The run of that name below the folder, at that path, or in that SLURM job. Raises ConfigError with near names."""
    below = RunDirectory(folder / name_or_path) if name_or_path else None
    if below is not None and below.config.is_file():
        return RunDirectory(below.path.absolute())
    path = Path(name_or_path).expanduser()
    if name_or_path and RunDirectory(path).config.is_file():
        return RunDirectory(path.resolve())
    if is_job_id(name_or_path) and (run := run_of(name_or_path, _runs_and_points(folder))) is not None:
        return run
    if sweep := find_sweep(name_or_path, folder):
        first = sweep.points()[0].name
        within = sweep.name if is_job_id(name_or_path) else name_or_path
        instead = f"give one of its runs, like {shlex.quote(f'{within}/{first}')}"
        raise ConfigError(Problem("RUN", f"{name_or_path!r} is a sweep of {len(sweep.points())} runs", instead))
    raise ConfigError(Problem("RUN", f"{name_or_path!r} is no run below {folder}", _instead(name_or_path, folder)))


def find_sweep(name_or_path: str, folder: Path) -> SweepDirectory | None:
    """The sweep of that name below the folder, at that path, or with points in that array; None if there is none."""
    if not name_or_path:
        return None
    places = (folder / name_or_path, Path(name_or_path).expanduser().resolve())
    found = next((SweepDirectory(path.absolute()) for path in places if is_sweep(path)), None)
    if found is not None or not is_job_id(name_or_path) or any(RunDirectory(path).config.is_file() for path in places):
        return found
    point = run_in_array(name_or_path, [run for sweep in all_sweeps(folder) for run in all_runs(sweep.path)])
    return SweepDirectory(point.path.parent) if point is not None else None


def _runs_and_points(folder: Path) -> list[RunDirectory]:
    return all_runs(folder) + [run for sweep in all_sweeps(folder) for run in all_runs(sweep.path)]


def _instead(name: str, folder: Path) -> str:
    names = [run.name for run in all_runs(folder)]
    near = difflib.get_close_matches(Path(name).name, names, n=MAX_NEAR_NAMES, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(candidate) for candidate in near) + "?"
    if names:
        return "`yoloscale runs` lists them; a path to a run directory works from any folder"
    return "there are no runs there yet; `--runs DIR` looks elsewhere, a path to a run directory works from any folder"
