"""Which tasks repeat to the last bit on a GPU, seen without one: by the operations of a training step."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from yoloscale.config.schema import Task
from yoloscale.yolo.numerics import (
    INTERPOLATION,
    NOT_DETERMINISTIC,
    SAMPLING,
    allow_tf32,
    caveat,
    full_precision,
    not_deterministic,
)

LONG = pytest.mark.long


class Operations(TorchDispatchMode):
    """The names of all operations, those of the backward pass too."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("task", "arguments", "expected"),
    [
        pytest.param("detect", {"multi_scale": 0.5}, None, marks=LONG),
        pytest.param("segment", {}, None, marks=LONG),
        ("segment", {"multi_scale": 0.5}, INTERPOLATION),
        pytest.param("segment", {"mask_ratio": 2}, INTERPOLATION, marks=LONG),
        pytest.param("pose", {}, None, marks=LONG),
        pytest.param("obb", {}, None, marks=LONG),
        pytest.param("classify", {}, None, marks=LONG),
        pytest.param("semantic", {}, INTERPOLATION, marks=LONG),
        pytest.param("depth", {}, INTERPOLATION, marks=LONG),
        ("rtdetr", {}, SAMPLING),
    ],
)
def test_a_step_has_the_operations_that_the_table_says(
    parts_of: Callable[..., Any], task: str, arguments: dict[str, Any], expected: str | None
) -> None:
    parts = parts_of(task, **arguments)
    parts.learner.train_mode()
    parts.schedule.apply(parts.stepper.optimizer, 1, 1.0, 2)
    seen = Operations()
    with seen:
        for index in range(3):  # sizes are drawn anew for each
            step = parts.order.step(0, index, 0)
            drawn = [parts.samples.sample(i, True) for i in step.micro_batches[0].samples]
            parts.stepper(step, lambda drawn=drawn: parts.samples.collate(drawn), lambda _: None)
    assert any(name.endswith("_backward") for name in seen.names)
    assert seen.names & NOT_DETERMINISTIC == ({expected} if expected else set())
    kind = Task.detect if task == "rtdetr" else Task(task)
    assert not_deterministic(kind, task == "rtdetr", parts.trainer.args) == expected


def test_only_who_asked_for_the_same_bits_is_told_that_there_are_none() -> None:
    args = SimpleNamespace(deterministic=True, multi_scale=0.0, mask_ratio=4)
    assert caveat(Task.detect, False, args) is None
    assert "grid_sampler_2d_backward" in str(caveat(Task.detect, True, args))
    args.deterministic = False
    assert caveat(Task.detect, True, args) is None


def test_fp32_is_fp32_in_an_evaluation_whatever_training_does() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    try:
        allow_tf32(True)
        with full_precision():
            assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (False, False)
        assert torch.backends.cudnn.allow_tf32
        allow_tf32(False)
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_evaluations_are_in_full_precision(parts_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_of("classify")
    seen: list[bool] = []
    evaluation = type(parts.evaluation)
    monkeypatch.setattr(evaluation, "_pass", lambda *_, **__: seen.append(torch.backends.cudnn.allow_tf32) or {})
    monkeypatch.setattr(evaluation, "_finish", lambda *_: {})
    torch.backends.cudnn.allow_tf32, before = True, torch.backends.cudnn.allow_tf32
    parts.evaluation(parts.stepper.average.module)
    assert torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = before
    assert seen == [False]
