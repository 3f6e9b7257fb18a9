"""Rows become a frame with one explicit schema, whatever was found."""

from __future__ import annotations

import numpy as np
import pytest

from yoloscale.config.tasks import Task
from yoloscale.predictions.rows import Row, as_frame
from yoloscale.predictions.schema import Status, columns, has_objects, value_columns


def row(index: int, status: Status = Status.ok, **values: object) -> Row:
    return Row(index, f"{index}.jpg", None, None, status, height=4, width=6, values=values)


def pose(index: int, count: int) -> Row:
    boxes = np.arange(4 * count, dtype=np.float32).reshape(count, 4) + index
    points = np.arange(6 * count, dtype=np.float32).reshape(count, 2, 3) + index
    classes = np.zeros(count, np.int32)
    scores = np.full(count, 0.5, np.float32)
    return row(index, boxes=boxes, scores=scores, classes=classes, keypoints=points)


def test_rows_come_out_by_index_with_what_was_put_in() -> None:
    broken = Row(2, "2.jpg", None, None, Status.unreadable, "no image")
    frame = as_frame([pose(3, 2), broken, pose(1, 0), pose(0, 1)], Task.pose)

    assert frame.schema == columns(Task.pose)
    assert frame["index"].to_list() == [0, 1, 2, 3]
    assert frame["boxes"].to_list() == [[[0, 1, 2, 3]], [], None, [[3, 4, 5, 6], [7, 8, 9, 10]]]
    assert frame["keypoints"].to_list()[3] == [[[3, 4, 5], [6, 7, 8]], [[9, 10, 11], [12, 13, 14]]]
    assert frame["scores"].to_list() == [[0.5], [], None, [0.5, 0.5]]
    assert frame["error"].to_list() == [None, None, "no image", None]
    assert frame["height"].to_list() == [4, 4, None, 4]


@pytest.mark.parametrize("task", list(Task))
def test_a_part_without_anything_in_it_has_the_types_of_the_others(task: Task) -> None:
    frame = as_frame([Row(0, "a", None, None, Status.unreadable, "why")], task)

    assert frame.schema == columns(task)
    assert [frame[name].null_count() for name in value_columns(task)] == [1] * len(value_columns(task))


def test_masks_maps_and_features() -> None:
    mask = row(0, boxes=np.zeros((1, 4), np.float32), masks=["04"])
    assert as_frame([mask, row(1, masks=[])], Task.segment)["masks"].to_list() == [["04"], []]
    assert as_frame([row(0, map="maps/a.png")], Task.semantic)["map"].to_list() == ["maps/a.png"]

    features = as_frame([row(0, embedding=np.array([1.5, 2.5], np.float32))], Task.detect, embeds=True)
    assert features.columns[-1] == "embedding"
    assert "boxes" not in features.columns
    assert features["embedding"].to_list() == [[1.5, 2.5]]


def test_only_what_has_objects_can_be_empty() -> None:
    assert [task.value for task in Task if has_objects(task)] == ["detect", "segment", "pose", "obb"]
    assert not has_objects(Task.detect, embeds=True)
