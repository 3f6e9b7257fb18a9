from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars  # noqa: F401 - its import sets a variable
import pytest
from PIL import Image

from yoloscale.config.tasks import Task
from yoloscale.manifest import table
from yoloscale.predictions import parts
from yoloscale.predictions.rows import Row, as_frame
from yoloscale.predictions.schema import Status
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.predict.views.request import ViewRequest

NAMES = {0: "disc", 1: "a/b"}
UNIT = 2
WIDTH, HEIGHT = 48, 32


def photo(path: Path, seed: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    """A file with an image of noise; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def boxes(count: int) -> dict[str, Any]:
    """What a detector finds."""
    places = np.float32([[4 + n, 3, 24 + n, 20] for n in range(count)]).reshape(-1, 4)
    scores, classes = np.linspace(0.9, 0.5, count, dtype=np.float32), np.arange(count, dtype=np.int32) % 2
    return {"boxes": places, "scores": scores, "classes": classes}


def predicted(folder: Path, task: Task, images: Sequence[tuple[str, Status, dict[str, Any]]]) -> RunDirectory:
    """A run whose parts are there: images by source, status and what was found; units of UNIT images."""
    run = RunDirectory(folder)
    folder.mkdir(parents=True)
    run.config.write_text("kind: predict\nid: abc\n")
    table.write_entries((table.Entry(source) for source, _, _ in images), folder / "manifest.parquet")
    rows = [
        Row(index, source, None, None, status, **_size_or_error(status), values=values)
        for index, (source, status, values) in enumerate(images)
    ]
    for unit in range(-(-len(rows) // UNIT)):
        parts.write(folder, unit, as_frame(rows[unit * UNIT : (unit + 1) * UNIT], task))
    return run.owned_by("abc")


def _size_or_error(status: Status) -> dict[str, Any]:
    if status in (Status.unreadable, Status.failed):
        return {"error": "the file is empty"}
    return {"height": HEIGHT, "width": WIDTH}


def request(*views: str, units: int = 3, **more: Any) -> ViewRequest:
    return ViewRequest(frozenset(views), units, UNIT, NAMES, **more)


@pytest.fixture
def five(tmp_path: Path) -> RunDirectory:
    """Five images in two folders: two objects, one, none, unreadable, two."""
    images = [
        (photo(tmp_path / "in/x/a.png", 0), Status.ok, boxes(2)),
        (photo(tmp_path / "in/x/a.jpg", 1), Status.ok, boxes(1)),
        (photo(tmp_path / "in/x/b.png", 2), Status.empty, boxes(0)),
        (str(tmp_path / "in/y/none.png"), Status.unreadable, {}),
        (photo(tmp_path / "in/y/a.png", 3), Status.ok, boxes(2)),
    ]
    return predicted(tmp_path / "run", Task.detect, images)
