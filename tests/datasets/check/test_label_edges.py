"""Boxes over the edge of their image: how many cost mAP in validation, and how much of it can be reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import YOLODataset
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.metrics import ap_per_class, box_iou

from yoloscale.config.schema import Task
from yoloscale.datasets.check.dataset import check
from yoloscale.datasets.check.labels import LabelRules, overlap_inside, read_labels

SETS = {
    "a quarter outside": ["0 0.953 0.5 0.2 0.2\n"],
    "a corner": ["0 0.96 0.97 0.2 0.2\n"],
    "half of them": ["0 0.953 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n"],
    "a hair": ["0 0.9 0.5 0.201 0.2\n"],
    "polygons": ["0 0.8 0.1 1.1 0.1 1.1 0.4 0.8 0.4\n"],
    "none": ["0 0.5 0.5 1 1\n"],
}


def dataset(root: Path, labels: list[str]) -> Path:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number, label in enumerate(labels):
            cv2.imwrite(str(root / "images" / split / f"{number}.jpg"), np.full((64, 64, 3), 90, np.uint8))
            (root / "labels" / split / f"{number}.txt").write_text(label)
    source = root / "data.yaml"
    source.write_text("train: images/train\nval: images/val\nnames: [cat]\n")
    return source


def boxes(root: Path, split: str) -> Any:
    """Corners of the boxes that Ultralytics trains on (train) and compares with (val), relative."""
    changes = {"mosaic": 0.0, "scale": 0.0, "translate": 0.0, "fliplr": 0.0, "imgsz": 64}
    data = {"names": {0: "cat"}, "channels": 3}
    made = YOLODataset(
        img_path=str(root / "images" / split),
        imgsz=64,
        augment=split == "train",
        hyp=get_cfg(DEFAULT_CFG, changes),
        data=data,
        batch_size=1,
    )
    found = torch.cat([made[index]["bboxes"] for index in range(len(made))])
    half = found[:, 2:] / 2
    return torch.cat([found[:, :2] - half, found[:, :2] + half], dim=1)


@pytest.mark.parametrize("name", SETS)
def test_what_can_be_reached_is_what_a_perfect_model_gets_from_ultralytics(name: str, tmp_path: Path) -> None:
    """Its predictions are the boxes that training shows."""
    source = dataset(tmp_path, SETS[name])
    shown, whole = boxes(tmp_path, "train"), boxes(tmp_path, "val")
    assert shown.max() <= 1 + 1e-6
    overlaps = box_iou(whole, shown).numpy()
    correct = overlaps.max(axis=0)[:, None] >= np.arange(0.5, 1.0, 0.05)[None]
    confidence = correct.mean(axis=1)  # the best order there can be
    kinds = np.zeros(len(shown))
    measured = ap_per_class(correct, confidence, kinds, kinds)[5].mean()
    val = check(source, Task.detect).splits["val"]
    assert val.attainable == pytest.approx(measured, abs=0.02)
    assert bool(val.over_edge) == (measured < 0.9)


def test_it_is_said_where_it_costs_with_the_line_to_write(tmp_path: Path) -> None:
    source = dataset(
        tmp_path, ["0 0.5 0.5 0.2 0.2\n0 0.95 0.5 0.2 0.2\n", "0 0.95 0.95 0.2 0.2\n", "0 0.5 0.5 0 0.2\n"]
    )
    said = list(check(source, Task.detect).warnings())
    assert len(said) == 2
    assert said[0].startswith("val: 2 of 4 boxes reach over the edge of their image")
    assert f"write 0 0.925 0.5 0.15 0.2 in {tmp_path}/labels/val/0.txt line 2" in said[0]
    assert said[1].startswith("val: 1 box without width or height")
    assert list(check(source, Task.detect, cache=tmp_path / "cache").warnings()) == said
    assert list(check(source, Task.detect, cache=tmp_path / "cache").warnings()) == said


def test_the_line_that_is_named_mends_it(tmp_path: Path) -> None:
    source = dataset(tmp_path, SETS["polygons"])
    example = check(source, Task.detect).splits["val"].edge_example
    assert example.startswith("write 0 0.8 0.1 1 0.1 1 0.4 0.8 0.4 in ")
    (tmp_path / "labels" / "val" / "0.txt").write_text("0 0.8 0.1 1 0.1 1 0.4 0.8 0.4\n")
    assert check(source, Task.detect).splits["val"].over_edge == 0


def test_the_part_inside() -> None:
    assert overlap_inside((0.5, 0.5, 0.2, 0.2)) == pytest.approx(1)
    assert overlap_inside((1.0, 0.5, 0.2, 0.2)) == pytest.approx(0.5)
    assert overlap_inside((0.0, 0.0, 0.2, 0.2)) == pytest.approx(0.25)
    assert overlap_inside((0.5, 0.5, 2.0, 1.0)) == pytest.approx(0.5)
    assert overlap_inside((0.5, 0.5, 0.0, 0.2)) == 0


@pytest.mark.parametrize("text", ["0.0 0.5 0.5 0.2 0.2", "1e0 0.5 0.5 0.2 0.2", "\ufeff1\t0.5 0.5 0.2 0.2\r\n"])
def test_ids_as_tools_write_them_are_taken(text: str) -> None:
    assert read_labels(text.removeprefix("\ufeff"), LabelRules(2)).objects == 1
