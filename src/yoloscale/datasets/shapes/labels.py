"""Labels of a scene in Ultralytics' text formats: one line per object, coordinates relative to the image size."""

from __future__ import annotations

import cv2
import numpy as np

from yoloscale.config.schema import LabelKind, Task
from yoloscale.datasets.shapes.scene import Placed, Points, Scene


def lines(scene: Scene, task: Task) -> list[str]:
    """Label lines of a task that finds objects."""
    result = []
    for index, placed in enumerate(scene.placed):
        if task.label_kind is LabelKind.keypoints:
            values = np.concatenate([_box(placed, scene.size), _keypoints(scene, index).ravel()])
        elif task.label_kind is LabelKind.polygons:
            values = _clipped(placed.visible / scene.size).ravel()
        elif task.label_kind is LabelKind.corners:
            values = _oriented_box(placed, scene.size).ravel()
        else:
            values = _box(placed, scene.size)
        result.append(" ".join([str(placed.shape.kind), *(f"{value:.6g}" for value in values)]))
    return result


def _box(placed: Placed, size: int) -> Points:
    """Centre x, centre y, width, height of the visible part."""
    low, high = _clipped(placed.visible.min(axis=0) / size), _clipped(placed.visible.max(axis=0) / size)
    return np.concatenate([(low + high) / 2, high - low])


def _oriented_box(placed: Placed, size: int) -> Points:
    """Four corners, around the visible part, along the shape's own axes."""
    local = placed.shape.to_local(placed.visible)
    (left, top), (right, bottom) = local.min(axis=0), local.max(axis=0)
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    sine, cosine = np.sin(placed.shape.angle), np.cos(placed.shape.angle)
    turned = corners @ np.array([[cosine, sine], [-sine, cosine]]) + placed.shape.center
    return _clipped(turned / size)


def _keypoints(scene: Scene, index: int) -> Points:
    """x, y and visibility of each keypoint: 2 seen, 1 behind a nearer shape."""
    points = scene.placed[index].shape.keypoints()
    nearer = [later.shape.outline().astype(np.float32) for later in scene.placed[index + 1 :]]
    hidden = [any(cv2.pointPolygonTest(rim, (float(x), float(y)), False) >= 0 for rim in nearer) for x, y in points]
    return np.column_stack([_clipped(points / scene.size), np.where(hidden, 1.0, 2.0)])


def _clipped(relative: Points) -> Points:
    return np.asarray(np.clip(relative, 0.0, 1.0))
