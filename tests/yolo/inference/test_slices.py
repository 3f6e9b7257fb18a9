"""Sliced inference: every pixel is in a slice, and what lies in two is found once, in pixels of the source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.99])
@pytest.mark.parametrize(("height", "width"), [(100, 100), (64, 64), (65, 64), (30, 500), (1, 400), (333, 129)])
def test_windows_cover_the_image(height: int, width: int, overlap: float) -> None:
    from yoloscale.yolo.inference.slices import Window, windows

    first, *others = windows(height, width, 64, overlap)
    assert first == Window(0, 0, width, height)
    assert bool(others) == (height > 64 or width > 64)
    covered = np.zeros((height, width), int)
    for window in others:
        assert window.width == min(64, width)
        assert window.height == min(64, height)
        assert window.left + window.width <= width
        assert window.top + window.height <= height
        covered[window.top : window.top + window.height, window.left : window.left + window.width] += 1
    assert not others or covered.min() >= 1
    assert len(set(others)) == len(others)


def test_neighbours_share_what_was_asked_for() -> None:
    from yoloscale.yolo.inference.slices import windows

    lefts = sorted({window.left for window in windows(640, 2000, 640, 0.2)[1:]})
    assert lefts == [0, 512, 1024, 1360]


def _part(**values: Any) -> Any:
    from yoloscale.yolo.inference.prediction import Prediction

    count = len(values["scores"])
    usual = {"classes": np.zeros(count, np.int32), "scores": np.array(values.pop("scores"), np.float32)}
    return Prediction(100, 100, **{**usual, **values})


def _boxes(*rows: tuple[float, ...]) -> Any:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_what_two_windows_see_is_found_once() -> None:
    from yoloscale.yolo.inference.slices import Window, merge

    one = _part(scores=[0.5, 0.4], boxes=_boxes((70, 10, 90, 30), (0, 0, 5, 5)))
    two = _part(scores=[0.9, 0.3], boxes=_boxes((20, 10, 40, 30), (20, 10, 40, 30)), classes=np.array([0, 1], np.int32))
    parts = [(Window(0, 0, 100, 100), one), (Window(50, 0, 100, 100), two)]
    merged = merge(parts, 100, 150, iou=0.7, agnostic=False, max_det=300)
    assert (merged.height, merged.width) == (100, 150)
    assert merged.scores.tolist() == pytest.approx([0.9, 0.4, 0.3])
    assert merged.classes.tolist() == [0, 0, 1]
    assert merged.boxes.tolist() == [[70, 10, 90, 30], [0, 0, 5, 5], [70, 10, 90, 30]]
    assert merged.boxes.dtype == merged.scores.dtype == np.float32
    assert len(merge(parts, 100, 150, iou=0.7, agnostic=True, max_det=300).scores) == 2
    assert len(merge(parts, 100, 150, iou=0.7, agnostic=False, max_det=1).scores) == 1


def test_masks_keypoints_and_oriented_boxes_move_along() -> None:
    from yoloscale.predictions import rle
    from yoloscale.yolo.inference.slices import Window, merge

    window = Window(50, 20, 100, 100)
    mask = np.zeros((100, 100), bool)
    mask[10:30, 20:40] = True
    masks = [{"size": [100, 100], "counts": rle.encode(mask)}]
    keypoints = np.array([[[1, 2, 0.5], [3, 4, 0.25]]], np.float32)
    part = _part(scores=[0.9], boxes=_boxes((20, 10, 40, 30)), masks=masks, keypoints=keypoints)
    merged = merge([(window, part)], 120, 150, iou=0.7, agnostic=False, max_det=300)
    assert merged.masks is not None
    placed = rle.decode(merged.masks[0]["counts"], 120, 150)
    assert placed.sum() == 400
    assert placed[30:50, 70:90].all()
    assert merged.keypoints.tolist() == [[[51, 22, 0.5], [53, 24, 0.25]]]
    assert keypoints[0, 0, 0] == 1

    oriented = np.array([[30, 40, 20, 10, 0.3]], np.float32)
    parts = [(window, _part(scores=[0.9], obb=oriented)), (Window(40, 20, 100, 100), _part(scores=[0.8], obb=oriented))]
    moved = np.array([[40, 40, 20, 10, 0.3]], np.float32)
    parts.append((Window(40, 20, 100, 100), _part(scores=[0.7], obb=moved)))
    merged = merge(parts, 120, 150, iou=0.5, agnostic=False, max_det=300)
    assert merged.scores.tolist() == pytest.approx([0.9, 0.8])
    assert merged.obb[0].tolist() == pytest.approx([80, 60, 20, 10, 0.3])
    assert merged.boxes is None


def test_nothing_in_any_window() -> None:
    from yoloscale.yolo.inference.slices import Window, merge

    part = _part(scores=[], boxes=_boxes())
    merged = merge([(Window(0, 0, 100, 100), part)] * 2, 100, 100, iou=0.7, agnostic=False, max_det=300)
    assert merged.is_empty
    assert merged.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    "task", ["detect", *(pytest.param(name, marks=pytest.mark.long) for name in ("segment", "pose", "obb"))]
)
def test_of_a_model(task: str, weights_of: Callable[[str], Path]) -> None:
    """Every row of the merged answer is a row of some window's, moved; small images are as without slices."""
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.settings import InferenceSettings
    from yoloscale.yolo.inference.slices import windows

    image = np.random.default_rng(0).integers(0, 255, (150, 230, 3), np.uint8)
    settings: dict[str, Any] = {"conf": 0.05, "iou": 0.3, "imgsz": 96, "max_det": 50}
    sliced = Predictor(weights_of(task), InferenceSettings(**settings, slice=96), "cpu")
    plain = Predictor(weights_of(task), InferenceSettings(**settings), "cpu")
    (merged,) = sliced.predict([sliced.prepare(image)])
    assert 0 < len(merged.scores) <= 50
    assert (np.diff(merged.scores) <= 0).all()
    rows = set()
    for part in windows(150, 230, 96, 0.2):
        crop = np.ascontiguousarray(image[part.top : part.top + part.height, part.left : part.left + part.width])
        (alone,) = plain.predict([plain.prepare(crop)])
        places = alone.obb if task == "obb" else alone.boxes
        shift = np.array([part.left, part.top] * (1 if task == "obb" else 2), np.float32)
        moved = places[:, : len(shift)] + shift
        rows |= {(score, *corner) for score, corner in zip(alone.scores.tolist(), moved.tolist(), strict=True)}
    places = merged.obb[:, :2] if task == "obb" else merged.boxes
    assert {(score, *place) for score, place in zip(merged.scores.tolist(), places.tolist(), strict=True)} <= rows
    if task == "segment":
        assert all(mask["size"] == [150, 230] for mask in merged.masks)
        assert len(merged.masks) == len(merged.scores)

    small = np.ascontiguousarray(image[:96, :90])
    (one,), (other,) = sliced.predict([sliced.prepare(small)]), plain.predict([plain.prepare(small)])
    assert one.equals(other)
