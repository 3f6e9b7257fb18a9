from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars  # noqa: F401 - its import sets a variable
import pytest

from yoloscale.config.freeze import freeze
from yoloscale.config.schema import PredictConfig
from yoloscale.config.schema.predict import PredictSection
from yoloscale.config.tasks import Task
from yoloscale.manifest import table
from yoloscale.predictions import model, parts
from yoloscale.predictions.model import Model
from yoloscale.predictions.rows import Row, as_frame
from yoloscale.predictions.schema import Status
from yoloscale.runs.directory import RunDirectory

NAMES = {0: "disc", 1: "square", 2: "a $very$ long name of a class that does not fit", 3: "star"}
Found = tuple[str, Status, dict[str, Any]]
Predicted = Callable[[Task, Sequence[Found]], RunDirectory]


@pytest.fixture
def predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predicted:
    """Make runs/p, whose images are given as source, status and what was found; of 48 × 32 pixels, units of 4."""
    monkeypatch.chdir(tmp_path)

    def make(task: Task, images: Sequence[Found]) -> RunDirectory:
        run = RunDirectory(Path("runs/p"))
        run.path.mkdir(parents=True)
        freeze(PredictConfig(predict=PredictSection(unit=4)), run.config)
        table.write_entries((table.Entry(source) for source, _, _ in images), run.manifest)
        model.write(run.path, Model(task, NAMES, (32, 48)))
        rows = [_row(index, *image) for index, image in enumerate(images)]
        for unit in range(-(-len(rows) // 4)):
            parts.write(run.path, unit, as_frame(rows[unit * 4 : unit * 4 + 4], task))
        return run

    return make


def _row(index: int, source: str, status: Status, values: dict[str, Any]) -> Row:
    if status in (Status.ok, Status.empty):
        return Row(index, source, None, None, status, height=32, width=48, values=values)
    return Row(index, source, None, None, status, error="the file\nis empty")


def objects(*found: tuple[int, float], column: str = "boxes") -> dict[str, Any]:
    """Objects by class and score, as a detector finds them, or with oriented boxes."""
    places = {"boxes": [8, 6, 28, 22], "obb": [20, 15, 20, 10, 0.5]}[column]
    return {
        column: np.float32([places] * len(found)).reshape(-1, len(places)),
        "classes": np.array([number for number, _ in found], dtype=np.int32),
        "scores": np.array([score for _, score in found], dtype=np.float32),
    }
