"""What a model's raw outputs say: for each image of a batch what Ultralytics' predictor of the task returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from ultralytics.utils import ops
from ultralytics.utils.nms import non_max_suppression

from yoloscale.config.schema import Task
from yoloscale.predictions import rle
from yoloscale.yolo.inference.prediction import Prediction
from yoloscale.yolo.inference.settings import InferenceSettings
from yoloscale.yolo.inference.weights import Weights

Shape = tuple[int, int]  # height, width


def read(
    outputs: Any, weights: Weights, settings: InferenceSettings, shape: Shape, sources: Sequence[Shape]
) -> list[Prediction]:
    """What was found in each source of a batch; outputs of images that only fill it are not looked at.

    Args:
        shape: of the model's input.
    """
    if settings.embed:
        return [Prediction(*source, embedding=_numpy(output)) for source, output in zip(sources, outputs, strict=False)]
    if weights.is_rtdetr:
        return _rtdetr(_first(outputs).cpu(), settings, sources)
    if weights.task is Task.classify:
        batch = _first(outputs).cpu()
        return [Prediction(*source, probs=_numpy(probs)) for source, probs in zip(sources, batch, strict=False)]
    if weights.task is Task.semantic:
        return _semantic(_first(outputs), weights, settings, shape, sources)
    if weights.task is Task.depth:
        return _depth(_first(outputs), shape, sources)
    return _objects(outputs, weights, settings, shape, sources)


def _first(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, (list, tuple)) else outputs


def _numpy(values: torch.Tensor) -> Any:
    """In 32 bits, on the CPU, with memory of its own: a back end may fill its output again."""
    return values.detach().float().cpu().numpy().copy()


def _objects(
    outputs: Any, weights: Weights, settings: InferenceSettings, shape: Shape, sources: Sequence[Shape]
) -> list[Prediction]:
    protos: Any = [None] * len(sources)
    if weights.task is Task.segment:
        protos = outputs[0][1] if isinstance(outputs[0], tuple) else outputs[1]
        outputs = outputs[0]
    candidates = _first(outputs)[: len(sources)]
    if weights.end2end and weights.task is not Task.segment:
        candidates = candidates.cpu()  # few, and the one time that a GPU is waited for
    rows = non_max_suppression(
        candidates,
        settings.conf,
        settings.iou,
        list(settings.classes) if settings.classes is not None else None,
        settings.agnostic_nms,
        max_det=settings.max_det,
        nc=0 if weights.task is Task.detect else len(weights.names),
        end2end=weights.end2end,
        rotated=weights.task is Task.obb,
        max_time_img=math.inf,  # what is found must not depend on how fast this machine is
    )
    if weights.task is not Task.segment:
        rows = _on_host(rows)
    of_task = {Task.segment: _segment, Task.pose: _pose, Task.obb: _obb}.get(weights.task, _detect)
    return [
        of_task(found, proto, weights, settings, shape, source)
        for found, proto, source in zip(rows, protos, sources, strict=False)
    ]


def _on_host(rows: list[torch.Tensor]) -> list[torch.Tensor]:
    """Rows of all images, from a GPU at once."""
    if rows[0].device.type == "cpu":
        return rows
    return list(torch.cat(rows).cpu().split([len(each) for each in rows]))


def _boxes(found: torch.Tensor, source: Shape) -> dict[str, Any]:
    values = _numpy(found[:, :6])
    return {
        "height": source[0],
        "width": source[1],
        "boxes": np.ascontiguousarray(values[:, :4]),
        "scores": np.ascontiguousarray(values[:, 4]),
        "classes": values[:, 5].astype(np.int32),
    }


def _detect(
    found: torch.Tensor, _proto: Any, _weights: Weights, _settings: InferenceSettings, shape: Shape, source: Shape
) -> Prediction:
    ops.scale_boxes(shape, found[:, :4], source)  # in place
    return Prediction(**_boxes(found, source))


def _pose(
    found: torch.Tensor, _proto: Any, weights: Weights, _settings: InferenceSettings, shape: Shape, source: Shape
) -> Prediction:
    assert weights.kpt_shape is not None
    ops.scale_boxes(shape, found[:, :4], source)  # in place
    keypoints = ops.scale_coords(shape, found[:, 6:].view(len(found), *weights.kpt_shape), source)
    return Prediction(**_boxes(found, source), keypoints=_numpy(keypoints))


def _obb(
    found: torch.Tensor, _proto: Any, _weights: Weights, _settings: InferenceSettings, shape: Shape, source: Shape
) -> Prediction:
    boxes = torch.cat([found[:, :4], found[:, -1:]], dim=-1)
    ops.scale_boxes(shape, boxes[:, :4], source, xywh=True)
    return Prediction(**{**_boxes(found, source), "boxes": None}, obb=_numpy(boxes))


def _segment(
    found: torch.Tensor, proto: Any, _weights: Weights, settings: InferenceSettings, shape: Shape, source: Shape
) -> Prediction:
    if not len(found):
        return Prediction(**_boxes(found, source), masks=[])
    if settings.retina_masks:
        ops.scale_boxes(shape, found[:, :4], source)  # in place
        masks = ops.process_mask_native(proto, found[:, 6:], found[:, :4], source)
    else:
        masks = ops.process_mask(proto, found[:, 6:], found[:, :4], shape, upsample=True)
        ops.scale_boxes(shape, found[:, :4], source)  # in place
    kept = masks.amax((-2, -1)) > 0
    found, masks = found[kept], masks[kept]
    return Prediction(**_boxes(found, source), masks=_runs(masks.cpu().numpy(), shape, source))


def _runs(masks: Any, shape: Shape, source: Shape) -> list[dict[str, Any]]:
    """Masks of the model's input, less the padding, as nearest neighbours in the source; those of the source as is."""
    height, width = source
    if masks.shape[1:] == source:
        return [{"size": [height, width], "counts": rle.encode(mask)} for mask in masks]
    gain = min(shape[0] / height, shape[1] / width)
    high, wide = max(round(height * gain), 1), max(round(width * gain), 1)
    top, left = round((shape[0] - high) / 2 - 0.1), round((shape[1] - wide) / 2 - 0.1)
    rows = top + (np.arange(height) * high) // height
    columns = left + (np.arange(width) * wide) // width
    runs = []
    for mask in masks:
        first, behind = _range(rows, mask.any(axis=1))
        start, end = _range(columns, mask.any(axis=0))
        inside = mask[rows[first:behind]][:, columns[start:end]]
        counts = rle.encode_at(inside, first, start, height, width)
        runs.append({"size": [height, width], "counts": counts})
    return runs


def _range(places: Any, is_inside: Any) -> tuple[int, int]:
    """From where to where the ascending `places` may be inside: a mask is small beside its image."""
    inside = np.flatnonzero(is_inside)
    if not len(inside):
        return 0, 0
    return int(np.searchsorted(places, inside[0], "left")), int(np.searchsorted(places, inside[-1], "right"))


def _rtdetr(outputs: Any, settings: InferenceSettings, sources: Sequence[Shape]) -> list[Prediction]:
    predictions = []
    for output, (height, width) in zip(outputs, sources, strict=False):
        boxes, scores, classes = output.split((4, 1, 1), dim=-1)
        boxes = ops.xywh2xyxy(boxes)
        chosen = scores.squeeze(-1) > settings.conf
        if settings.classes is not None:
            chosen = (classes == torch.tensor(settings.classes, device=classes.device)).any(1) & chosen
        found = torch.cat([boxes, scores, classes], dim=-1)[chosen][: settings.max_det]
        found[..., [0, 2]] *= width
        found[..., [1, 3]] *= height
        predictions.append(Prediction(**_boxes(found, (height, width))))
    return predictions


def _class_map_type(count: int) -> torch.dtype:
    return torch.uint8 if count <= 256 else torch.int16 if count <= 32768 else torch.int32


def _semantic(
    outputs: Any, weights: Weights, settings: InferenceSettings, shape: Shape, sources: Sequence[Shape]
) -> list[Prediction]:
    """Logits, or class numbers where the artefact's graph has taken the largest already."""
    classes = None
    if settings.classes is not None and len(weights.names) > 1:
        classes = torch.as_tensor(settings.classes, device=outputs.device).flatten()
    predictions = []
    for output, source in zip(outputs, sources, strict=False):
        is_map = output.ndim == 2
        values = (output[None, None] if is_map else output[None]).float()
        if values.shape[2:] != shape:
            how = {"mode": "nearest"} if is_map else {"mode": "bilinear", "align_corners": False}
            values = functional.interpolate(values, shape, **how)
        values = ops.scale_masks(values, source, mode="nearest" if is_map else "bilinear")[0]
        if is_map:
            class_map = values[0].to(_class_map_type(int(values.max().item()) + 1))
        else:
            largest = values.max(0).indices if values.device.type == "cpu" else values.argmax(0)
            largest = largest if len(values) > 1 else values.gt(0).squeeze(0)
            class_map = largest.to(_class_map_type(max(len(values), 2)))
        if classes is not None:
            class_map[~(class_map.unsqueeze(-1) == classes).any(-1)] = 255
        predictions.append(Prediction(*source, map=class_map.cpu().numpy().copy()))
    return predictions


def _depth(outputs: Any, shape: Shape, sources: Sequence[Shape]) -> list[Prediction]:
    maps = outputs.unsqueeze(1) if outputs.ndim == 3 else outputs
    maps = functional.interpolate(maps.float(), size=shape, mode="bilinear", align_corners=True)
    predictions = []
    for depth, source in zip(maps, sources, strict=False):
        depth = functional.interpolate(depth[None], source, mode="bilinear", align_corners=True)
        predictions.append(Prediction(*source, map=_numpy(depth[0, 0])))
    return predictions
