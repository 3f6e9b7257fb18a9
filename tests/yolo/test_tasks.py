from __future__ import annotations

from importlib import import_module

from yoloscale.config.schema import Task
from yoloscale.yolo.tasks import ADAPTERS, RTDETR, adapter_of


def test_every_task_has_a_trainer_of_the_installed_ultralytics() -> None:
    assert list(ADAPTERS) == list(Task)
    for adapter in (*ADAPTERS.values(), RTDETR):
        assert hasattr(import_module(adapter.module), adapter.trainer)
    assert adapter_of(Task.detect, rtdetr=True) is RTDETR
