"""What Ultralytics draws of its `Results`: a picture, crops; and the outline of a mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from ultralytics.engine.results import Results
from ultralytics.utils import ops
from ultralytics.utils.plotting import save_one_box

from yoloscale.yolo.inference.pictures import Picture


def picture(results: Results, *, line_width: int | None, boxes: bool, labels: bool, conf: bool) -> Picture:
    """The image with what was found in it, as Ultralytics draws it for `save`; height × width × 3, BGR.

    `line_width` is in pixels; None: by the image's size.
    """
    return np.asarray(results.plot(line_width=line_width, boxes=boxes, labels=labels, conf=conf))


def crops(results: Results) -> Iterator[tuple[int, Picture]]:
    """The class and the cut-out (BGR) of each object in its order, as Ultralytics cuts it for `save_crop`.

    An oriented box is turned upright. A box without a pixel in the image is a cut-out without pixels.
    """
    objects: Any = results.obb if results.obb is not None else results.boxes
    for each in objects if objects is not None else ():
        place = each.xyxyxyxy if results.obb is not None else each.xyxy
        yield int(each.cls.item()), np.asarray(save_one_box(place, results.orig_img, BGR=True, save=False))


def outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The outline of a mask (height × width) as one polygon, n × 2 in pixels, as Ultralytics writes it in labels.

    Several parts are joined by lines there and back; no point where the mask is empty.
    """
    points = ops.masks2segments(mask[None])[0]
    return np.asarray(ops.clip_coords(points, mask.shape), dtype=np.float32)
