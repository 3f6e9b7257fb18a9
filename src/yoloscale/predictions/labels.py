"""The lines of an image's file in labels/, as Ultralytics' `save_txt` writes them. Pure: rows in, text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from yoloscale.predictions import rle

_BEST_CLASSES = 5  # of a classified image

FloatArray = npt.NDArray[np.float32]
Outline = Callable[[npt.NDArray[np.bool_]], FloatArray]


def text(row: Mapping[str, Any], names: Mapping[int, str], *, save_conf: bool, outline: Outline) -> str:
    """The content of one image's file, empty where nothing was found: then there is no file.

    | task | line |
    | --- | --- |
    | detect | class, centre x y, width, height, as shares of the image's size |
    | segment | class and the points x y of the mask's outline, as shares; no line for fewer than three points |
    | pose | as detect, then x y of each keypoint and its score if the model gives one |
    | obb | class and the four corners x y, as shares |
    | classify | score and name of each of the best five classes |

    Args:
        row: a row of a part as Python data (predictions/schema.py).
        names: of the classes.
        save_conf: a score ends each line (never of classify).
        outline: the outline of a mask (height × width) as points (n × 2, pixels).
    """
    if row.get("probs") is not None:
        return _lines(_of_classes(row["probs"], names))
    if not row.get("scores"):
        return ""
    shapes = _shapes(row, outline)
    ends = _keypoints(row, len(shapes))
    lines = list[str]()
    for number, shape, keypoints, score in zip(row["classes"], shapes, ends, row["scores"], strict=True):
        if shape is None:
            continue
        values = (number, *shape, *keypoints, *((score,) if save_conf else ()))
        lines.append(" ".join(f"{value:g}" for value in values))
    return _lines(lines)


def corners(boxes: FloatArray) -> FloatArray:
    """The corners (n × 4 × 2) of oriented boxes (n × 5: centre x y, width, height, angle in radians), in pixels."""
    centre, angle = boxes[:, :2], boxes[:, 4:5]
    along = boxes[:, 2:3] / 2 * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    across = boxes[:, 3:4] / 2 * np.concatenate([-np.sin(angle), np.cos(angle)], axis=1)
    points = [centre + along + across, centre + along - across, centre - along - across, centre - along + across]
    return np.stack(points, axis=1).astype(np.float32)


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _of_classes(probs: list[float], names: Mapping[int, str]) -> list[str]:
    best = np.argsort(-np.asarray(probs, dtype=np.float32), kind="stable")[:_BEST_CLASSES]
    return [f"{probs[number]:.2f} {names[int(number)]}" for number in best]


def _shapes(row: Mapping[str, Any], outline: Outline) -> list[list[float] | None]:
    """What follows the class in each line; None for a mask that has no outline."""
    size = np.array([row["width"], row["height"]], dtype=np.float32)
    if row.get("masks") is not None:
        masks = (rle.decode(counts, row["height"], row["width"]) for counts in row["masks"])
        outlines = (outline(mask) for mask in masks)
        return [(points / size).ravel().tolist() if len(points) >= 3 else None for points in outlines]
    if row.get("obb") is not None:
        boxes = np.array(row["obb"], dtype=np.float32)
        return [(points / size).ravel().tolist() for points in corners(boxes)]
    boxes = np.array(row["boxes"], dtype=np.float32)
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([centres / size, sizes / size], axis=1).tolist()  # type: ignore[no-any-return]


def _keypoints(row: Mapping[str, Any], count: int) -> list[list[float]]:
    """x, y (as shares) and the score, if there is one, of the keypoints of each object; empty for other tasks."""
    if not row.get("keypoints"):
        return [[] for _ in range(count)]
    points = np.array(row["keypoints"], dtype=np.float32)  # objects × keypoints × 2 or 3
    points[..., :2] /= np.array([row["width"], row["height"]], dtype=np.float32)
    return points.reshape(count, -1).tolist()
