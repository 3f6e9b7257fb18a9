"""Predictions go through rows and come back, and are drawn as Ultralytics draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from yoloscale.config.tasks import Task
from yoloscale.predictions import rle
from yoloscale.predictions.rows import Row, as_frame
from yoloscale.predictions.schema import Status

HEIGHT, WIDTH = 40, 60
NAMES = {0: "disc", 1: "ring"}


def found(task: Task, count: int) -> dict[str, Any]:
    random = np.random.default_rng(3)
    objects: dict[str, Any] = {
        "scores": np.sort(random.random(count, dtype=np.float32))[::-1],
        "classes": random.integers(0, 2, count, dtype=np.int32),
    }
    corners = np.sort(random.random((count, 2, 2), dtype=np.float32), axis=1) * np.float32([WIDTH, HEIGHT])
    boxes = {"boxes": corners.reshape(count, 4)}
    return {
        Task.detect: boxes | objects,
        Task.segment: boxes | objects | {"masks": [rle.encode(random.random((HEIGHT, WIDTH)) > 0.5)] * count},
        Task.pose: boxes | objects | {"keypoints": random.random((count, 4, 3), dtype=np.float32)},
        Task.obb: objects | {"obb": random.random((count, 5), dtype=np.float32) * np.float32(20)},
        Task.classify: {"probs": random.random(7, dtype=np.float32)},
    }[task]


def through_a_row(task: Task, values: dict[str, Any]) -> dict[str, Any]:
    """The row as it is read from a part."""
    row = Row(0, "a.png", None, None, Status.ok, height=HEIGHT, width=WIDTH, values=values)
    return as_frame([row], task).row(0, named=True)


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("task", [Task.detect, Task.segment, Task.pose, Task.obb, Task.classify])
def test_a_prediction_comes_back_from_its_row(task: Task, count: int) -> None:
    from yoloscale.yolo.inference.rows import prediction_of

    values = found(task, count)
    prediction = prediction_of(through_a_row(task, values))
    assert (prediction.height, prediction.width) == (HEIGHT, WIDTH)
    for name in ("boxes", "obb", "scores", "classes", "probs", "keypoints"):
        if name in values and not (name == "keypoints" and not count):
            field = getattr(prediction, name)
            assert field.dtype == values[name].dtype
            assert np.array_equal(field, values[name]), name
        elif name not in values:
            assert getattr(prediction, name) is None
    if task is Task.segment:
        expected = [{"size": [HEIGHT, WIDTH], "counts": counts} for counts in values["masks"]]
        assert prediction.masks == expected


@pytest.mark.parametrize("task", [Task.detect, Task.obb])
def test_crops_are_those_of_save_crop(task: Task, tmp_path: Path) -> None:
    from yoloscale.yolo.inference import drawing
    from yoloscale.yolo.inference.results import results
    from yoloscale.yolo.inference.rows import prediction_of

    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    values = found(task, 3)
    if task is Task.obb:
        values["obb"][:, :4] += 12
    values["classes"][:] = (0, 1, 1)
    drawn = results(prediction_of(through_a_row(task, values)), image, "a.png", NAMES)
    drawn.save_crop(tmp_path, "im")
    files = [*(tmp_path / "disc").iterdir(), *sorted((tmp_path / "ring").iterdir(), key=lambda file: len(file.name))]
    ours = list(drawing.crops(drawn))
    assert [number for number, _ in ours] == [0, 1, 1]
    for (_, crop), file in zip(ours, files, strict=True):
        with Image.open(file) as theirs:
            pixels = np.asarray(theirs).astype(int)
        assert pixels.shape == crop.shape
        assert np.abs(pixels - crop[..., ::-1]).mean() < 6  # JPEG of noise


def test_a_picture_is_that_of_save() -> None:
    from yoloscale.yolo.inference import drawing
    from yoloscale.yolo.inference.results import results
    from yoloscale.yolo.inference.rows import prediction_of

    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    drawn = results(prediction_of(through_a_row(Task.pose, found(Task.pose, 3))), image, "a.png", NAMES)
    picture = drawing.picture(drawn, line_width=1, boxes=True, labels=False, conf=False)
    assert np.array_equal(picture, drawn.plot(line_width=1, labels=False, conf=False))
    without = drawing.picture(drawn, line_width=1, boxes=False, labels=False, conf=False)
    assert picture.any()
    assert (without > 0).sum() < (picture > 0).sum()
    assert not image.any()  # the source stays as it is


def test_the_outline_of_a_mask() -> None:
    from yoloscale.yolo.inference.drawing import outline

    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    assert outline(mask).shape == (0, 2)
    mask[3:9, 5:20] = True
    assert {tuple(point) for point in outline(mask).tolist()} == {(5, 3), (5, 8), (19, 8), (19, 3)}
