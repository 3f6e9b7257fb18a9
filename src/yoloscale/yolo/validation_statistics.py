"""What Ultralytics' validators keep of the images they have seen: taken from each rank, put together in image order.

A row for each family of validators. `begin` is called before the first batch, `take` on every rank after its last one,
`put` on rank 0 with what was taken, in the order of the batches. After `put` the validator of rank 0 is as if it had
seen all images itself, one batch after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from ultralytics.models.yolo.classify import ClassificationValidator
from ultralytics.models.yolo.depth import DepthValidator
from ultralytics.models.yolo.semantic import SemanticSegmentationValidator

from yoloscale.yolo.ordered_sums import recorder_like, total

_PARTS = ("box", "seg", "pose")  # of a detector's metrics, each with its figures for every image


@dataclass(frozen=True)
class Statistics:
    """How a validator's statistics travel; what `take` returns is pickled."""

    begin: Callable[[Any], None]
    take: Callable[[Any], dict[str, Any]]
    put: Callable[[Any, Sequence[dict[str, Any]]], None]


def statistics_of(validator: Any) -> Statistics:
    """The row of a validator."""
    return next((row for family, row in _ROWS if isinstance(validator, family)), _DETECTION)


def _flat(shares: Iterable[dict[str, Any]], key: str) -> list[Any]:
    return list(chain.from_iterable(share[key] for share in shares))


def _begin_detections(validator: Any) -> None:
    """Nothing is added up but whole numbers, in any order."""


def _take_detections(validator: Any) -> dict[str, Any]:
    metrics, ground = validator.metrics, validator.gdict if validator.build_gdict else {}
    return {
        "stats": metrics.stats,
        "images": {part: getattr(metrics, part).image_metrics for part in _PARTS if hasattr(metrics, part)},
        "json": validator.jdict,
        "counts": validator.pred_counts,
        "ground": {key: ground[key] for key in ("images", "annotations") if key in ground},
        "matrix": validator.confusion_matrix.matrix,
        "seen": validator.seen,
    }


def _put_detections(validator: Any, shares: Sequence[dict[str, Any]]) -> None:
    metrics = validator.metrics
    metrics.stats = {key: _flat([share["stats"] for share in shares], key) for key in metrics.stats}
    for part in shares[0]["images"]:
        of_all: dict[str, Any] = {}
        for share in shares:
            of_all |= share["images"][part]
        getattr(metrics, part).image_metrics = of_all
    for key in shares[0]["ground"]:
        validator.gdict[key] = _flat([share["ground"] for share in shares], key)
    validator.jdict, validator.pred_counts = _flat(shares, "json"), _flat(shares, "counts")
    validator.confusion_matrix.matrix = sum(share["matrix"] for share in shares)
    validator.seen = sum(share["seen"] for share in shares)


def _begin_classes(validator: Any) -> None:
    """Nothing is added up before all are there."""


def _take_classes(validator: Any) -> dict[str, Any]:
    return {"predictions": validator.pred, "targets": validator.targets}


def _put_classes(validator: Any, shares: Sequence[dict[str, Any]]) -> None:
    validator.pred, validator.targets = _flat(shares, "predictions"), _flat(shares, "targets")


def _begin_pixels(validator: Any) -> None:
    validator.metrics.matrix = recorder_like(_no_pixels(validator))


def _no_pixels(validator: Any) -> torch.Tensor:
    classes = validator.metrics.cm_nc
    return torch.zeros((classes, classes), device=validator.device, dtype=torch.float32)


def _take_pixels(validator: Any) -> dict[str, Any]:
    metrics = validator.metrics
    return {"addends": metrics.matrix.addends, "images": metrics.nt_per_image, "seen": validator.seen}


def _put_pixels(validator: Any, shares: Sequence[dict[str, Any]]) -> None:
    validator.metrics.matrix = total(_no_pixels(validator), _flat(shares, "addends"))
    validator.metrics.nt_per_image = sum(share["images"] for share in shares)
    validator.seen = sum(share["seen"] for share in shares)


def _begin_depths(validator: Any) -> None:
    validator.metrics._totals = recorder_like(_no_depths())


def _no_depths() -> torch.Tensor:
    return torch.zeros(6, dtype=torch.float64)


def _take_depths(validator: Any) -> dict[str, Any]:
    return {"addends": validator.metrics._totals.addends, "images": validator.metrics._count}


def _put_depths(validator: Any, shares: Sequence[dict[str, Any]]) -> None:
    validator.metrics._totals = total(_no_depths(), _flat(shares, "addends"))
    validator.metrics._count = sum(share["images"] for share in shares)


_DETECTION = Statistics(_begin_detections, _take_detections, _put_detections)
_ROWS: tuple[tuple[type, Statistics], ...] = (
    (ClassificationValidator, Statistics(_begin_classes, _take_classes, _put_classes)),
    (SemanticSegmentationValidator, Statistics(_begin_pixels, _take_pixels, _put_pixels)),
    (DepthValidator, Statistics(_begin_depths, _take_depths, _put_depths)),
)
