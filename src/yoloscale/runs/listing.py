"""Which runs there are, and which one a person means."""

from __future__ import annotations

import difflib
from pathlib import Path

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.runs.directory import RunDirectory

MAX_NEAR_NAMES = 3


def all_runs(folder: Path) -> list[RunDirectory]:
    """Every run directly below a folder, oldest first; none if the folder does not exist."""
    try:
        candidates = [RunDirectory(path) for path in folder.absolute().iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [(run.config.stat().st_mtime, run.name, run) for run in candidates if run.config.is_file()]
    return [run for _, _, run in sorted(found, key=lambda entry: entry[:2])]


def find(name_or_path: str, folder: Path) -> RunDirectory:
    """The run of that name below the folder, or at that path. Raises ConfigError that suggests near names."""
    below = RunDirectory(folder / name_or_path) if name_or_path else None
    if below is not None and below.config.is_file():
        return RunDirectory(below.path.absolute())
    path = Path(name_or_path).expanduser()
    if name_or_path and RunDirectory(path).config.is_file():
        return RunDirectory(path.resolve())
    raise ConfigError(Problem("RUN", f"{name_or_path!r} is no run below {folder}", _instead(name_or_path, folder)))


def _instead(name: str, folder: Path) -> str:
    names = [run.name for run in all_runs(folder)]
    near = difflib.get_close_matches(Path(name).name, names, n=MAX_NEAR_NAMES, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(candidate) for candidate in near) + "?"
    if names:
        return "`yoloscale runs` lists them; a path to a run directory works from any folder"
    return "there are no runs there yet; `--runs DIR` looks elsewhere, a path to a run directory works from any folder"
