"""A prediction out of a row of a part, as it went in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from yoloscale.yolo.inference.prediction import Floats, Prediction


def prediction_of(row: Mapping[str, Any], pixel_map: npt.NDArray[Any] | None = None) -> Prediction:
    """The prediction in a row (predictions/schema.py) that is Python data; of an image that could be read.

    Args:
        pixel_map: what lies in the file that the row names as its map.
    """
    height, width = row["height"], row["width"]
    masks = row.get("masks")
    return Prediction(
        height,
        width,
        boxes=_floats(row.get("boxes"), 4),
        obb=_floats(row.get("obb"), 5),
        scores=_floats(row.get("scores")),
        classes=None if row.get("classes") is None else np.array(row["classes"], dtype=np.int32),
        masks=None if masks is None else [{"size": [height, width], "counts": counts} for counts in masks],
        keypoints=_keypoints(row.get("keypoints")),
        probs=_floats(row.get("probs")),
        map=pixel_map,
        embedding=_floats(row.get("embedding")),
    )


def _floats(values: Any, width: int | None = None) -> Floats | None:
    if values is None:
        return None
    array = np.array(values, dtype=np.float32)
    return array if width is None else array.reshape(-1, width)


def _keypoints(values: Any) -> Floats | None:
    if values is None:
        return None
    return np.array(values, dtype=np.float32) if values else np.empty((0, 0, 3), dtype=np.float32)
