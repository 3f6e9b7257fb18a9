"""Angles of oriented boxes do not depend on how the installed OpenCV tells them.

`cv2.minAreaRect` gives angles in (0, 90] until 4.12, and in [-90, 0) with the sides swapped from 4.13 on. Here both are
played on one release: what we write and train on is the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import YOLODataset
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.metrics import batch_probiou
from ultralytics.utils.ops import xyxyxyxy2xywhr

from yoloscale.config.schema import ShapesConfig, Task
from yoloscale.datasets.shapes import dataset

Rectangle = tuple[tuple[float, float], tuple[float, float], float]
ANGLES: dict[str, Callable[[float], bool]] = {"4.12": lambda angle: angle > 0, "4.13": lambda angle: angle < 0}


def told_as(release: str, real: Any) -> Callable[[Any], Rectangle]:
    """`cv2.minAreaRect` with the angles of a release."""

    def told(points: Any) -> Rectangle:
        centre, (width, height), angle = real(points)
        if ANGLES[release](angle):
            return centre, (width, height), angle
        return centre, (height, width), angle + 90 if release == "4.12" else angle - 90

    return told


def targets(source: Path, augment: bool) -> list[Any]:
    """Targets of an oriented set as Ultralytics gives them to the loss and to the metrics."""
    data = {"names": dict(enumerate("abcd")), "channels": 3}
    hyp = get_cfg(DEFAULT_CFG, {"task": "obb", "degrees": 30.0, "imgsz": 96})
    made = YOLODataset(
        img_path=str(source.parent / "images" / "train"), imgsz=96, augment=augment, hyp=hyp, data=data, task="obb"
    )
    found = []
    for index in range(len(made)):
        random.seed(index)
        np.random.seed(index)
        torch.manual_seed(index)
        found.append(made[index]["bboxes"])
    return found


@pytest.mark.parametrize("augment", [False, True])
def test_targets_are_the_same_boxes(augment: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ShapesConfig(train_images=6, val_images=1, image_size=96)
    source = dataset.render(config, Task.obb, tmp_path, lambda text: None)
    real, seen = cv2.minAreaRect, dict[str, list[Any]]()
    for release in ANGLES:
        monkeypatch.setattr(cv2, "minAreaRect", told_as(release, real))
        seen[release] = targets(source, augment)
    assert sum(map(len, seen["4.12"])) > 6
    for old, new in zip(seen["4.12"], seen["4.13"], strict=True):
        torch.testing.assert_close(old[:, :2], new[:, :2], rtol=0, atol=1e-5)
        if len(old):
            pixels = torch.tensor([96.0, 96.0, 96.0, 96.0, 1.0])
            assert batch_probiou(old * pixels, new * pixels).diagonal().min() > 0.99  # squares turn by a quarter
        long = old[:, 2] > 1.02 * old[:, 3]
        torch.testing.assert_close(old[long], new[long], rtol=0, atol=1e-4)


@pytest.mark.parametrize("release", list(ANGLES))
def test_labels_of_shapes_are_the_boxes_of_either_release(
    release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ShapesConfig(train_images=3, val_images=1, image_size=96)
    source = dataset.render(config, Task.obb, tmp_path, lambda text: None)
    monkeypatch.setattr(cv2, "minAreaRect", told_as(release, cv2.minAreaRect))
    for file in (source.parent / "labels" / "train").iterdir():
        for line in file.read_text().splitlines():
            corners = np.array(line.split()[1:], dtype=np.float32).reshape(4, 2) * 96
            box = xyxyxyxy2xywhr(corners[None])[0]
            sides = np.sort(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1))
            if (corners > 0).all() and (corners < 96).all():  # a clipped one is no rectangle
                assert np.sort(box[2:4]) == pytest.approx(sides[[0, 2]], abs=0.2)


def test_nothing_of_ours_asks_opencv_for_angles() -> None:
    """Who needs one here takes Ultralytics' canonical form (`xyxyxyxy2xywhr`)."""
    import yoloscale

    package = Path(yoloscale.__file__).parent
    asking = [file for file in package.rglob("*.py") if "cv2.minAreaRect" in file.read_text(encoding="utf-8")]
    assert not asking
