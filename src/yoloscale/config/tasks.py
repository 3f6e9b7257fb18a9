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
        main_metric: the one number that tells best how good a model is.
        metrics: all of Ultralytics' validator; empty where they are not listed.
        imgsz: default, in pixels; Ultralytics' own.
        heads: last modules of architectures that are trained here; a test compares with ultralytics.nn.tasks.
        models: classes of the models in `.pt` files.
    """

    suffix: str
    label_kind: LabelKind
    main_metric: str | None
    metrics: tuple[str, ...] = ()
    imgsz: int = 640
    heads: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


class Task(str, Enum):
    """Ultralytics' tasks, by its own names. RT-DETR is a model family of `detect`."""

    _value_: str
    row: Row

    def __new__(cls, name: str, row: Row | None = None) -> Task:
        assert row is not None, "Task(name) finds a member, and makes none"
        task = str.__new__(cls, name)
        task._value_, task.row = name, row
        return task

    detect = "detect", Row(
        "", LabelKind.boxes, "metrics/mAP50-95(B)", _of_objects("B"), heads=("Detect", "v10Detect", "RTDETRDecoder"),
        models=("DetectionModel", "RTDETRDetectionModel", "YOLOv10DetectionModel", "WorldModel", "YOLOEModel"),
    )  # fmt: skip
    segment = "segment", Row(
        "-seg", LabelKind.polygons, "metrics/mAP50-95(M)", _of_objects("BM"), heads=("Segment", "Segment26"),
        models=("SegmentationModel", "YOLOESegModel"),
    )  # fmt: skip
    semantic = "semantic", Row(
        "-sem", LabelKind.masks, "metrics/mIoU", heads=("SemanticSegment",), models=("SemanticSegmentationModel",)
    )  # fmt: skip
    depth = "depth", Row("-depth", LabelKind.depth, None, heads=("Depth",), models=("DepthModel",))
    classify = "classify", Row(
        "-cls", LabelKind.folders, "metrics/accuracy_top1", ("metrics/accuracy_top1", "metrics/accuracy_top5"),
        heads=("Classify",), models=("ClassificationModel",), imgsz=224,
    )  # fmt: skip
    pose = "pose", Row(
        "-pose", LabelKind.keypoints, "metrics/mAP50-95(P)", _of_objects("BP"), heads=("Pose", "Pose26"),
        models=("PoseModel",),
    )  # fmt: skip
    obb = "obb", Row(
        "-obb", LabelKind.corners, "metrics/mAP50-95(B)", _of_objects("B"), heads=("OBB", "OBB26"),
        models=("OBBModel",),
    )  # fmt: skip

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
