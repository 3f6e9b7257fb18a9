from __future__ import annotations

import csv
import io
import json
import math
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from yoloscale.predictions import coco, rle

NAMES = {0: "disc", 1: "ring"}


def row(index: int, **columns: Any) -> dict[str, Any]:
    about = {"index": index, "source": f"/d/{index}.jpg", "frame": None, "time_s": None, "height": 40, "width": 60}
    return {**about, "status": "ok", "error": None, **columns}


def missing(index: int) -> dict[str, Any]:
    nothing = dict.fromkeys(("height", "width", "boxes", "scores", "classes", "masks"))
    return row(index, status="unreadable", error="the file is empty", **nothing)


def content(rows: list[dict[str, Any]]) -> dict[str, Any]:
    file = io.StringIO()
    count = coco.write(file, lambda _: iter(rows), NAMES)
    loaded: dict[str, Any] = json.loads(file.getvalue())
    assert count == len(loaded["annotations"])
    return loaded


def test_images_and_boxes() -> None:
    found = {"boxes": [[1.5, 2.25, 11.5, 7.25], [0, 0, 0.12345678, 1]], "scores": [0.87654321, 0.5], "classes": [1, 0]}
    loaded = content(
        [row(0, **found), row(1, boxes=[], scores=[], classes=[], status="empty"), missing(2), row(7, **found)]
    )
    assert loaded["categories"] == [{"id": 1, "name": "disc"}, {"id": 2, "name": "ring"}]
    assert [image["id"] for image in loaded["images"]] == [0, 1, 7]
    assert loaded["images"][2] == {"id": 7, "file_name": "/d/7.jpg", "width": 60, "height": 40}
    assert [each["id"] for each in loaded["annotations"]] == [1, 2, 3, 4]
    assert [each["image_id"] for each in loaded["annotations"]] == [0, 0, 7, 7]
    first, second = loaded["annotations"][:2]
    assert first == {
        "id": 1,
        "image_id": 0,
        "category_id": 2,
        "bbox": [1.5, 2.25, 10.0, 5.0],
        "score": 0.87654,
        "area": 50.0,
        "iscrowd": 0,
    }
    assert second["bbox"] == [0, 0, 0.123, 1]


def test_masks_are_run_lengths_with_their_own_area() -> None:
    mask = np.zeros((40, 60), dtype=bool)
    mask[3:9, 4:10] = True
    mask[4, 5] = False
    [entry] = content([row(0, boxes=[[4, 3, 10, 9]], scores=[0.5], classes=[0], masks=[rle.encode(mask)])])[
        "annotations"
    ]
    assert entry["area"] == 35
    assert entry["segmentation"]["size"] == [40, 60]
    assert np.array_equal(rle.decode(entry["segmentation"]["counts"], 40, 60), mask)


@pytest.mark.parametrize(
    ("points", "flat"),
    [([[1.0, 2.0, 0.75], [3.5, 4.0, 0.25]], [1, 2, 0.75, 3.5, 4, 0.25]), ([[1.0, 2.0]], [1, 2, 2])],
)
def test_keypoints_are_triples(points: list[list[float]], flat: list[float]) -> None:
    [entry] = content([row(0, boxes=[[1, 2, 3, 4]], scores=[0.5], classes=[0], keypoints=[points])])["annotations"]
    assert entry["keypoints"] == flat
    assert entry["num_keypoints"] == len(points)


def test_an_oriented_box_is_a_polygon_in_a_box() -> None:
    [entry] = content([row(0, obb=[[30, 20, 10, 4, math.pi / 2]], scores=[0.5], classes=[0])])["annotations"]
    assert entry["bbox"] == pytest.approx([28, 15, 4, 10], abs=1e-3)
    assert entry["area"] == 40
    assert entry["rbox"] == [30, 20, 10, 4, 1.5708]
    [polygon] = entry["segmentation"]
    assert sorted(zip(map(round, polygon[::2]), map(round, polygon[1::2]), strict=True)) == [
        (28, 15),
        (28, 25),
        (32, 15),
        (32, 25),
    ]


def test_frames_and_no_images() -> None:
    frame = row(3, frame=12, time_s=0.4, boxes=[], scores=[], classes=[], status="empty")
    assert content([frame])["images"][0]["frame"] == 12
    assert content([]) == {**content([]), "images": [], "annotations": []}


def test_the_map_tells_the_source_of_every_id() -> None:
    file = io.StringIO()
    odd = row(1, source='/d/a, "b"\n.jpg')
    coco.write_images(file, [row(0, frame=3, time_s=0.5, source="/d/v.mp4"), odd, missing(2)])
    entries = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [entry["image_id"] for entry in entries] == ["0", "1", "2"]
    assert entries[0] == {"image_id": "0", "source": "/d/v.mp4", "frame": "3", "time_s": "0.5", "status": "ok"}
    assert entries[1]["source"] == '/d/a, "b"\n.jpg'
    assert entries[2]["status"] == "unreadable"


def test_memory_does_not_grow_with_the_images() -> None:
    class Counter:
        written = 0

        def write(self, text: str) -> int:
            self.written += len(text)
            return len(text)

    def rows(count: int) -> Iterator[dict[str, Any]]:
        return (row(n, boxes=[[1, 2, 3, 4]], scores=[0.5], classes=[0]) for n in range(count))

    def peak_bytes(count: int) -> int:
        tracemalloc.start()
        file = Counter()
        coco.write(file, lambda _: rows(count), NAMES)  # type: ignore[arg-type]
        assert file.written > 100 * count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(10)
    assert peak_bytes(4000) < peak_bytes(100) + 20_000
