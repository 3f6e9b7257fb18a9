"""Runs of Ultralytics' own, and loose weights: they cannot be resumed, so what trains on from them is told instead."""

from __future__ import annotations

import csv
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yoloscale.config.freeze import parse
from yoloscale.errors import Problem
from yoloscale.system.files import first_free

ARGUMENTS, RESULTS, WEIGHTS = "args.yaml", "results.csv", "weights"
_LACKS = (
    "its weights are a moving average in half precision, without the trained weights themselves, random states and a "
    "position within the epoch"
)


@dataclass(frozen=True)
class UltralyticsRun:
    """A folder that `yolo train` has made: its arguments, and how many epochs are in results.csv."""

    folder: Path
    arguments: dict[str, Any]
    epochs_done: int

    @property
    def epochs_left(self) -> int | None:
        """None where its arguments do not tell, or nothing is left."""
        total = self.arguments.get("epochs")
        return total - self.epochs_done if isinstance(total, int) and total > self.epochs_done > 0 else None


def problem_of(typed: str, path: Path) -> Problem | None:
    """What to say where a run is wanted and this path belongs to a run of Ultralytics', or is loose weights; else None.

    `typed`: as the person wrote the path.
    """
    run = ultralytics_run(path)
    if run is None:
        return _loose(typed, path)
    progress = f" ({run.epochs_done} of {run.arguments.get('epochs', '?')} epochs)" if run.epochs_done else ""
    words = f"{typed!r} belongs to a run of Ultralytics'{progress}, which cannot be resumed exactly: {_LACKS}"
    weights = _weights(run, path)
    if weights is None:
        instead = f"it has no weights; `{_command(run, None)}` starts it anew with its arguments"
    else:
        instead = f"`{_command(run, weights)}` trains on from these weights with its arguments"
    return Problem("RUN", words, instead)


def ultralytics_run(path: Path) -> UltralyticsRun | None:
    """The run of Ultralytics' at a path or around it (its folder, weights/last.pt, args.yaml, results.csv)."""
    for folder in (path, *list(path.parents)[:2]):
        try:
            arguments = parse((folder / ARGUMENTS).read_text(encoding="utf-8"))
        except (OSError, UnicodeError, yaml.YAMLError):
            continue
        if isinstance(arguments, dict) and "model" in arguments:
            return UltralyticsRun(folder, arguments, _epochs_in(folder / RESULTS)) if path.exists() else None
    return None


def _epochs_in(results: Path) -> int:
    """The epochs that results.csv has a line for; 0 where there is none."""
    try:
        with results.open(encoding="utf-8", newline="") as file:
            rows = [{key.strip(): value for key, value in row.items() if key} for row in csv.DictReader(file)]
    except (OSError, UnicodeError, csv.Error):
        return 0
    return len({row.get("epoch") for row in rows})


def _weights(run: UltralyticsRun, path: Path) -> Path | None:
    """The weights that were meant: those named, else the last, else the best."""
    if path.suffix == ".pt" and path.is_file():
        return path
    candidates = (run.folder / WEIGHTS / name for name in ("last.pt", "best.pt"))
    return next((weights for weights in candidates if weights.is_file()), None)


def _command(run: UltralyticsRun, weights: Path | None) -> str:
    words = [f"cfg={_shown(run.folder / ARGUMENTS)}"]
    if weights is not None:
        words.append(f"model={_shown(weights)}")
        words += [f"epochs={run.epochs_left}"] if run.epochs_left is not None else []
    words.append(f"name={first_free(run.folder, 2).name}")  # the arguments say the same `project`
    return f"yoloscale train {shlex.join(words)}"


def _shown(file: Path) -> str:
    """A path as it is typed where the person stands."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


def _loose(typed: str, path: Path) -> Problem | None:
    if path.suffix.lower() not in (".pt", ".pth") or not path.is_file():
        return None
    words = f"{typed!r} is a file of weights that lies in no run, and weights alone cannot be resumed"
    command = f"yoloscale train {shlex.quote(f'model={typed}')} data=… name=…"
    return Problem("RUN", words, f"`{command}` trains on from them")
