"""Ultralytics' tasks: a row each with all that differs between them, but for what needs torch (yolo/tasks.py).

What the rest of the launcher does with a dataset depends on the kind of its labels, not on the task: another task with
labels of a known kind is one more row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class LabelKind(Enum):
    """What lies beside an image, or tells of it otherwise."""

    boxes = "a .txt file: class, box"
    polygons = "a .txt file: class, polygon"
    keypoints = "a .txt file: class, box, keypoints"
    corners = "a .txt file: class, four corners"
    masks = "a .png file of class numbers; or polygons"
    depth = "a .png or .npy file of distances"
    folders = "nothing: the image's folder is its class"


_OBJECTS = (LabelKind.boxes, LabelKind.polygons, LabelKind.keypoints, LabelKind.corners)


def _of_objects(kinds: str) -> tuple[str, ...]:
    return tuple(f"metrics/{name}({kind})" for kind in kinds for name in ("precision", "recall", "mAP50", "mAP50-95"))


@dataclass(frozen=True)
class Row:
    """What the launcher knows of a task.

    Args:
        suffix: of the names of released models: `yolo26n-seg`.
        head_words: parts of the name of an architecture's last module, in lower case.
        heads: last modules that are trained here; a test compares with ultralytics.nn.tasks.
        models: classes of the models in `.pt` files.
        main_metric: the one number that tells best how good a model is.
        metrics: all of Ultralytics' validator; empty where they are not listed.
        imgsz: default, in pixels; Ultralytics' own.
    """

    suffix: str
    label_kind: LabelKind
    head_words: tuple[str, ...]
    heads: tuple[str, ...]
    models: tuple[str, ...]
    main_metric: str | None
    metrics: tuple[str, ...] = ()
    imgsz: int = 640


class Task(str, Enum):
    """Ultralytics' tasks, by its own names. RT-DETR is a model family of `detect`."""

    _value_: str
    row: Row

    def __new__(cls, name: str, row: Row | None = None) -> Task:
        assert row is not None, "Task(name) finds a member, and makes none"
        task = str.__new__(cls, name)
        task._value_, task.row = name, row
        return task

    detect = (
        "detect",
        Row(
            suffix="",
            label_kind=LabelKind.boxes,
            head_words=("detect", "rtdetr"),
            heads=("Detect", "v10Detect", "RTDETRDecoder"),
            models=("DetectionModel", "RTDETRDetectionModel", "YOLOv10DetectionModel", "WorldModel", "YOLOEModel"),
            main_metric="metrics/mAP50-95(B)",
            metrics=_of_objects("B"),
        ),
    )
    segment = (
        "segment",
        Row(
            suffix="-seg",
            label_kind=LabelKind.polygons,
            head_words=("segment",),
            heads=("Segment", "Segment26"),
            models=("SegmentationModel", "YOLOESegModel"),
            main_metric="metrics/mAP50-95(M)",
            metrics=_of_objects("BM"),
        ),
    )
    semantic = (
        "semantic",
        Row(
            suffix="-sem",
            label_kind=LabelKind.masks,
            head_words=("semanticsegment",),
            heads=("SemanticSegment",),
            models=("SemanticSegmentationModel",),
            main_metric="metrics/mIoU",
        ),
    )
    depth = (
        "depth",
        Row(
            suffix="-depth",
            label_kind=LabelKind.depth,
            head_words=("depth",),
            heads=("Depth",),
            models=("DepthModel",),
            main_metric=None,
        ),
    )
    classify = (
        "classify",
        Row(
            suffix="-cls",
            label_kind=LabelKind.folders,
            head_words=("classify",),
            heads=("Classify",),
            models=("ClassificationModel",),
            main_metric="metrics/accuracy_top1",
            metrics=("metrics/accuracy_top1", "metrics/accuracy_top5"),
            imgsz=224,
        ),
    )
    pose = (
        "pose",
        Row(
            suffix="-pose",
            label_kind=LabelKind.keypoints,
            head_words=("pose",),
            heads=("Pose", "Pose26"),
            models=("PoseModel",),
            main_metric="metrics/mAP50-95(P)",
            metrics=_of_objects("BP"),
        ),
    )
    obb = (
        "obb",
        Row(
            suffix="-obb",
            label_kind=LabelKind.corners,
            head_words=("obb",),
            heads=("OBB", "OBB26"),
            models=("OBBModel",),
            main_metric="metrics/mAP50-95(B)",
            metrics=_of_objects("B"),
        ),
    )

    @property
    def label_kind(self) -> LabelKind:
        """What tells of an image."""
        return self.row.label_kind

    @property
    def finds_objects(self) -> bool:
        """Whether a model of it finds objects one by one, each with a box."""
        return self.row.label_kind in _OBJECTS


# most telling first: what a task has beside boxes before them
MAIN_METRICS = sorted(
    {task.row.main_metric: None for task in Task if task.row.main_metric},
    key=lambda metric: sum(metric in task.row.metrics for task in Task),
)
