from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yoloscale.predictions import labels, rle

HEIGHT, WIDTH = 96, 130
NAMES = {0: "disc", 1: "square", 2: "ring", 3: "star", 4: "bar", 5: "cross"}


def written_by_ultralytics(row: dict[str, Any], folder: Path, *, save_conf: bool) -> str:
    from yoloscale.yolo.inference.results import results
    from yoloscale.yolo.inference.rows import prediction_of

    path = folder / "theirs.txt"
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    results(prediction_of(row), image, "a.jpg", NAMES).save_txt(path, save_conf=save_conf)
    return path.read_text() if path.exists() else ""


def row_of(**columns: Any) -> dict[str, Any]:
    scores = np.float32([0.912345, 0.5, 0.3333333]).tolist()
    about = {"index": 4, "source": "a.jpg", "height": HEIGHT, "width": WIDTH, "status": "ok"}
    return {**about, "scores": scores, "classes": [2, 0, 2], **columns}


def boxes(seed: int) -> list[list[float]]:
    random = np.random.default_rng(seed)
    corners = np.sort(random.random((3, 2, 2)).astype(np.float32), axis=1) * np.float32([WIDTH, HEIGHT])
    return corners.reshape(3, 4).tolist()


def masks() -> list[str]:
    disc, parts, dot = (np.zeros((HEIGHT, WIDTH), dtype=bool) for _ in range(3))
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    disc |= (rows - 40) ** 2 + (columns - 60) ** 2 < 400
    parts[3:30, 5:40] = parts[50:90, 70:130] = parts[60:70, 2:9] = True
    dot[5, 5] = True  # an outline of one point is no polygon
    return [rle.encode(mask) for mask in (disc, parts, dot)]


def oriented(seed: int) -> list[list[float]]:
    random = np.random.default_rng(seed)
    return (random.random((3, 5)) * [WIDTH, HEIGHT, 60, 40, 1.5]).astype(np.float32).tolist()


def keypoints(width: int) -> list[list[list[float]]]:
    return (np.random.default_rng(5).random((3, 4, width)) * 90).astype(np.float32).tolist()


@pytest.mark.parametrize("save_conf", [False, True])
@pytest.mark.parametrize(
    "row",
    [
        row_of(boxes=boxes(1)),
        row_of(boxes=boxes(2), masks=masks()),
        row_of(boxes=boxes(3), keypoints=keypoints(3)),
        row_of(boxes=boxes(3), keypoints=keypoints(2)),
        row_of(obb=oriented(4)),
        row_of(boxes=[], scores=[], classes=[], status="empty"),
        row_of(probs=[0.125, 0.4, 0.01, 0.2, 0.0651, 0.2], scores=None, classes=None),
    ],
    ids=["detect", "segment", "pose", "pose-without-scores", "obb", "empty", "classify"],
)
def test_lines_are_those_of_save_txt(row: dict[str, Any], save_conf: bool, tmp_path: Path) -> None:
    from yoloscale.yolo.inference.drawing import outline

    ours = labels.text(row, NAMES, save_conf=save_conf, outline=outline)
    assert ours == written_by_ultralytics(row, tmp_path, save_conf=save_conf)
    assert bool(ours) == (row["status"] == "ok")


def test_an_image_that_was_not_read_has_no_lines() -> None:
    row = {"index": 0, "source": "a.jpg", "height": None, "width": None, "status": "unreadable", "boxes": None}
    row |= {"scores": None, "classes": None}
    assert labels.text(row, NAMES, save_conf=True, outline=lambda mask: pytest.fail("there is no mask")) == ""
