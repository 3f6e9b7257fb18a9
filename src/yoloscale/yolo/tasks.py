"""What Ultralytics' tasks differ in where torch is at work: a row each; the rest stands in config/tasks.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from yoloscale.config.schema import Task

PROTOTYPES = 4  # a segmentation model's masks have this fraction of the image's size


@dataclass(frozen=True)
class Adapter:
    """How a task is trained and evaluated.

    Args:
        module, trainer: where Ultralytics' trainer is, and its class.
        validator: `module:class` of Ultralytics' validator.
        reduction: whether the loss is multiplied by the batch size or averaged over the batch. A test compares the
            loss of a batch with that of the same batch twice over.
        rescales: whether `multi_scale` counts.
        interpolates: whether the training, with these arguments, goes through torch's bilinear interpolation.
        calibrates: whether the finished weights are calibrated on the validation images.
    """

    module: str
    trainer: str
    validator: str
    reduction: Literal["sum", "mean"] = "sum"
    rescales: bool = True
    interpolates: Callable[[Any], bool] = lambda args: False
    calibrates: bool = False


def _resizes_masks(args: Any) -> bool:
    return bool(args.multi_scale) or args.mask_ratio != PROTOTYPES


ADAPTERS = {
    Task.detect: Adapter(
        "ultralytics.models.yolo.detect", "DetectionTrainer", "ultralytics.models.yolo.detect:DetectionValidator"
    ),
    Task.segment: Adapter(
        "ultralytics.models.yolo.segment",
        "SegmentationTrainer",
        "ultralytics.models.yolo.segment:SegmentationValidator",
        interpolates=_resizes_masks,
    ),
    Task.semantic: Adapter(
        "ultralytics.models.yolo.semantic",
        "SemanticSegmentationTrainer",
        "ultralytics.models.yolo.semantic:SemanticSegmentationValidator",
        interpolates=lambda args: True,
    ),
    Task.depth: Adapter(
        "ultralytics.models.yolo.depth",
        "DepthTrainer",
        "ultralytics.models.yolo.depth:DepthValidator",
        interpolates=lambda args: True,
        calibrates=True,
    ),
    Task.classify: Adapter(
        "ultralytics.models.yolo.classify",
        "ClassificationTrainer",
        "ultralytics.models.yolo.classify:ClassificationValidator",
        reduction="mean",
        rescales=False,
    ),
    Task.pose: Adapter("ultralytics.models.yolo.pose", "PoseTrainer", "ultralytics.models.yolo.pose:PoseValidator"),
    Task.obb: Adapter("ultralytics.models.yolo.obb", "OBBTrainer", "ultralytics.models.yolo.obb:OBBValidator"),
}
RTDETR = Adapter(
    "ultralytics.models.rtdetr.train",
    "RTDETRTrainer",
    "ultralytics.models.rtdetr.val:RTDETRValidator",
    reduction="mean",
)


def validator_of(task: Task, rtdetr: bool) -> Any:
    """Ultralytics' validator class of a task."""
    module, _, name = adapter_of(task, rtdetr).validator.partition(":")
    return getattr(import_module(module), name)


def adapter_of(task: Task, rtdetr: bool) -> Adapter:
    """The row of a task; RT-DETR has one of its own."""
    return RTDETR if rtdetr else ADAPTERS[task]
