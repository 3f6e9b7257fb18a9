"""Large images in slices: where they lie, and what was found in them put together again, in pixels of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torchvision
from ultralytics.utils.metrics import batch_probiou
from ultralytics.utils.nms import TorchNMS

from yoloscale.predictions import rle
from yoloscale.yolo.inference.prediction import Prediction


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, in its pixels."""

    left: int
    top: int
    width: int
    height: int


def windows(height: int, width: int, side: int, overlap: float) -> list[Window]:
    """The whole image, then its slices, row by row, each as large as a slice or as the image.

    Neighbours share `overlap` of a side at least; the last of a row or column ends where the image does. An image that
    is no larger than a slice has none.
    """
    whole = Window(0, 0, width, height)
    if height <= side and width <= side:
        return [whole]
    high, wide = min(side, height), min(side, width)
    return [
        whole,
        *(Window(x, y, wide, high) for y in _starts(height, high, overlap) for x in _starts(width, wide, overlap)),
    ]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    step = max(1, int(side * (1 - overlap)))
    starts = list(range(0, length - side, step))
    return [*starts, length - side]


def merge(
    parts: Sequence[tuple[Window, Prediction]], height: int, width: int, *, iou: float, agnostic: bool, max_det: int
) -> Prediction:
    """What was found in an image, from what was in its windows: class-wise NMS over all, highest score first."""
    placed = [_placed(window, part, height, width) for window, part in parts]
    columns: dict[str, Any] = {name: _joined(placed, name) for name in _columns(placed[0])}
    whole = Prediction(height, width, **columns)
    assert whole.scores is not None
    assert whole.classes is not None
    kept = _nms(whole, iou, agnostic)[:max_det]
    return _rows(whole, kept, parts, height, width)


def _columns(prediction: Prediction) -> list[str]:
    names = ("boxes", "scores", "classes", "keypoints", "obb")
    return [name for name in names if getattr(prediction, name) is not None]


def _placed(window: Window, part: Prediction, height: int, width: int) -> Prediction:
    shift = np.array([window.left, window.top], np.float32)
    moved: dict[str, Any] = {}
    if part.boxes is not None:
        moved["boxes"] = part.boxes + np.tile(shift, 2)
    for name in ("keypoints", "obb"):
        values = getattr(part, name)
        if values is not None:
            moved[name] = values.copy()
            moved[name][..., :2] += shift
    return replace(part, height=height, width=width, **moved)


def _joined(placed: Sequence[Prediction], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in placed])


def _nms(found: Prediction, iou: float, agnostic: bool) -> np.ndarray:
    assert found.scores is not None
    assert found.classes is not None
    if not len(found.scores):
        return np.empty(0, np.int64)
    scores = torch.from_numpy(found.scores)
    apart = found.classes.astype(np.float64) * (0 if agnostic else 2 * max(found.height, found.width) + 1)
    if found.obb is not None:
        boxes = torch.from_numpy(found.obb.astype(np.float64))
        boxes[:, :2] += torch.from_numpy(apart)[:, None]
        kept = TorchNMS.fast_nms(boxes, scores, iou, iou_func=batch_probiou)
    else:
        assert found.boxes is not None
        boxes = torch.from_numpy(found.boxes.astype(np.float64) + apart[:, None])
        kept = torchvision.ops.nms(boxes, scores.double(), iou)
    return np.asarray(kept.numpy())


def _rows(
    whole: Prediction, kept: np.ndarray, parts: Sequence[tuple[Window, Prediction]], height: int, width: int
) -> Prediction:
    columns: dict[str, Any] = {name: getattr(whole, name)[kept] for name in _columns(whole)}
    chosen = replace(whole, **columns)
    if parts[0][1].masks is None:
        return chosen
    masks = [(window, mask) for window, part in parts for mask in part.masks or ()]
    placed = []
    for index in kept:
        window, mask = masks[index]
        inside = rle.decode(mask["counts"], *mask["size"])
        counts = rle.encode_at(inside, window.top, window.left, height, width)
        placed.append({"size": [height, width], "counts": counts})
    return replace(chosen, masks=placed)
