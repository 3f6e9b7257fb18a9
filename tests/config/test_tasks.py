"""The rows of the tasks, against each other and against the names that the tests of other rooms look up."""

from __future__ import annotations

import copy
import pickle

import pytest

from yoloscale.config.compose.catalog import task_of_name
from yoloscale.config.tasks import MAIN_METRICS, LabelKind, Task
from yoloscale.datasets.shapes.classes import data_yaml
from yoloscale.datasets.weights_file import _TASK_OF_CLASS


def test_a_task_is_its_name_wherever_it_goes() -> None:
    for task in Task:
        assert Task(task.value) is task
        assert task == task.value
        assert copy.deepcopy(task) is task
        assert pickle.loads(pickle.dumps(task)) is task
        assert repr(task) == f"<Task.{task.name}: '{task.value}'>", "caches of checked datasets are keyed by it"
    with pytest.raises(ValueError, match="dream"):
        Task("dream")


def test_no_two_rows_claim_the_same() -> None:
    for claims in ("heads", "models"):
        claimed = [name for task in Task for name in getattr(task.row, claims)]
        assert len(claimed) == len(set(claimed)), claims
    assert len({task.row.suffix for task in Task}) == len(Task)


def test_a_row_is_found_by_its_names() -> None:
    for task in Task:
        assert task_of_name(f"yolo26n{task.row.suffix}") is (task if task.row.suffix else None)
        assert all(_TASK_OF_CLASS[model] is task for model in task.row.models)


def test_the_metric_that_tells_most_comes_before_that_of_the_boxes() -> None:
    for task in Task:
        shown = next((name for name in MAIN_METRICS if name in task.row.metrics), None)
        assert shown == (task.row.main_metric if task.row.metrics else None)


def test_every_kind_of_labels_can_be_rendered() -> None:
    assert {task.label_kind for task in Task} == set(LabelKind)
    assert all("names" in data_yaml(task) for task in Task)
