"""A prediction as Ultralytics' `Results`, to be drawn or worked on with what people know."""

from __future__ import annotations

import numpy as np
import torch
from ultralytics.engine.results import Results

from yoloscale.predictions import rle
from yoloscale.yolo.inference.pictures import Picture
from yoloscale.yolo.inference.prediction import Prediction


def results(prediction: Prediction, image: Picture, path: str, names: dict[int, str]) -> Results:
    """What `YOLO(weights).predict` returns for the image, but for times; masks in pixels of the source.

    Args:
        image: the source, as `decode` returns it.
    """
    size = prediction.height, prediction.width
    assert image.shape[:2] == size
    rows = masks = obb = None
    if prediction.scores is not None and prediction.classes is not None:
        tail = np.stack((prediction.scores, prediction.classes.astype(np.float32)), axis=1)
        if prediction.obb is not None:
            obb = torch.from_numpy(np.concatenate((prediction.obb, tail), axis=1))
        elif prediction.boxes is not None:
            rows = torch.from_numpy(np.concatenate((prediction.boxes, tail), axis=1))
    if prediction.masks:
        masks = torch.from_numpy(
            np.stack([rle.decode(mask["counts"], *size) for mask in prediction.masks]).view(np.uint8)
        )
    return Results(
        image,
        path=path,
        names=names,
        boxes=rows,
        masks=masks,
        obb=obb,
        keypoints=None if prediction.keypoints is None else torch.from_numpy(prediction.keypoints),
        probs=None if prediction.probs is None else torch.from_numpy(prediction.probs),
        semantic_mask=_map(prediction, is_depth=False),
        depth=_map(prediction, is_depth=True),
    )


def _map(prediction: Prediction, is_depth: bool) -> torch.Tensor | None:
    if prediction.map is None or (prediction.map.dtype == np.float32) is not is_depth:
        return None
    return torch.from_numpy(prediction.map)
