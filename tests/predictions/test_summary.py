"""What the parts come to, one in memory at a time."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from yoloscale.config.tasks import Task
from yoloscale.predictions import maps, model, parts, summary
from yoloscale.predictions.model import Model
from yoloscale.predictions.rows import Row, as_frame
from yoloscale.predictions.schema import Status


def found(index: int, count: int) -> Row:
    boxes, scores = np.ones((count, 4), np.float32), np.ones(count, np.float32)
    values = {"boxes": boxes, "scores": scores, "classes": np.zeros(count, np.int32)}
    return Row(index, f"{index}.jpg", None, None, Status.ok if count else Status.empty, None, 4, 4, values)


def lost(index: int, status: Status, error: str) -> Row:
    return Row(index, 'a "b", c.jpg', 7 if index else None, None, status, error)


def test_counts_and_failures_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    units = {
        1: [lost(5, Status.failed, "it ended the process"), found(4, 2), found(3, 0)],
        0: [lost(0, Status.unreadable, "two\nlines, ümlaut"), found(1, 3), found(2, 1)],
    }
    for unit, rows in units.items():
        parts.write(tmp_path, unit, as_frame(rows, Task.detect))
    calls = list[int]()

    counts = summary.summarise(tmp_path, units, lambda: calls.append(1))

    expected = {"images": 6, "ok": 3, "empty": 1, "unreadable": 1, "failed": 1, "detections": 6}
    assert counts.as_record() == expected
    assert len(calls) == 2
    with (tmp_path / summary.FAILURES).open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert lines == [
        ["index", "source", "frame", "status", "error"],
        ["0", 'a "b", c.jpg', "", "unreadable", "two\nlines, ümlaut"],
        ["5", 'a "b", c.jpg', "7", "failed", "it ended the process"],
    ]
    before = (tmp_path / summary.FAILURES).read_bytes()
    assert summary.summarise(tmp_path, [0, 1]) == counts
    assert (tmp_path / summary.FAILURES).read_bytes() == before


def test_tasks_without_objects_are_counted_too(tmp_path: Path) -> None:
    row = Row(0, "a.jpg", None, None, Status.ok, None, 4, 4, {"probs": np.array([0.25, 0.75], np.float32)})
    parts.write(tmp_path, 0, as_frame([row], Task.classify))

    assert summary.summarise(tmp_path, [0]).as_record()["detections"] == 0
    assert (tmp_path / summary.FAILURES).read_text() == "index,source,frame,status,error\n"


def test_the_model_comes_back(tmp_path: Path) -> None:
    written = Model(
        Task.pose,
        {0: "a", 7: "é"},
        (64, 96),
        keypoints=(17, 3),
        weights="ab",
        versions={"torch": "2"},
        settings={"conf": 0.5},
    )
    model.write(tmp_path, written)
    assert model.read(tmp_path) == written


def test_maps_come_back_and_have_the_same_bytes_again(tmp_path: Path) -> None:
    for index, (given, dtype) in enumerate(((np.int32, np.uint8), (np.int16, np.uint16), (np.float32, np.float32))):
        values = (np.arange(12).reshape(3, 4) * (20 if index == 0 else 30)).astype(given)
        name = maps.write(tmp_path, 2, index, values)
        again = (tmp_path / name).read_bytes()

        assert name.startswith(f"maps/000002/{index:09d}.")
        assert np.array_equal(maps.read(tmp_path, name), values)
        assert maps.read(tmp_path, name).dtype == dtype
        assert maps.write(tmp_path, 2, index, values[:, ::1]) == name
        assert (tmp_path / name).read_bytes() == again


def test_a_map_that_the_disk_does_not_take_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / maps.FOLDER).touch()  # in the way, as whatever keeps the disk from taking it
    with pytest.raises(parts.PartNotWritten, match=r"maps/000000/000000003\.png.*resume the run"):
        maps.write(tmp_path, 0, 3, np.zeros((2, 2), np.uint8))
