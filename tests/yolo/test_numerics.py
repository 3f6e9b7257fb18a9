"""Which tasks repeat to the last bit on a GPU, seen without one: by the operations of a training step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.backends import cudnn
from torch.utils._python_dispatch import TorchDispatchMode

from yoloscale.config.schema import Config, Task
from yoloscale.yolo.evaluation_pass import Share, run_batches
from yoloscale.yolo.numerics import (
    INTERPOLATION,
    SAMPLING,
    allow_tf32,
    caveat,
    full_precision,
    is_tuned,
    not_deterministic,
    unhurried,
    untuned,
)

LONG = pytest.mark.long
CUDA = torch.device("cuda", 0)
# torch 2.14 has no deterministic CUDA kernel for these (torch.use_deterministic_algorithms lists them)
NOT_DETERMINISTIC = {
    INTERPOLATION,
    SAMPLING,
    "upsample_bicubic2d_backward",
    "upsample_linear1d_backward",
    "upsample_trilinear3d_backward",
    "grid_sampler_3d_backward",
    "nll_loss2d_forward",
    "nll_loss2d_backward",
    "kthvalue",
    "histc",
    "_adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d_backward",
    "avg_pool3d_backward",
    "_ctc_loss_backward",
    "reflection_pad1d_backward",
    "reflection_pad2d_backward",
    "reflection_pad3d_backward",
    "max_unpool2d",
    "put_",
}


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


def test_only_where_images_keep_their_size_and_results_may_differ() -> None:
    free = replace(Config(), deterministic=False)
    assert is_tuned(free, CUDA)
    assert not is_tuned(free, torch.device("cpu"))
    assert not is_tuned(Config(), CUDA)
    assert not is_tuned(replace(free, multi_scale=0.5), CUDA)


def test_an_evaluation_tunes_nothing_and_training_does_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cudnn, "benchmark", True)
    seen = []

    class Validator:
        args = SimpleNamespace(save_txt=False)
        run_callbacks = staticmethod(lambda event: None)

        def init_metrics(self, model: object) -> None:
            seen.append(cudnn.benchmark)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run_batches(Validator(), torch.nn.Identity(), Share(0, range(1), 1), with_loss=False)
    assert seen == [False]
    assert cudnn.benchmark
    with untuned():
        assert not cudnn.benchmark


def test_an_evaluation_finds_the_same_on_a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    from ultralytics.utils import nms

    clock = count(0, 1000)  # seconds from one look at the clock to the next
    monkeypatch.setattr(nms.time, "time", lambda: float(next(clock)))
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand((3, 4, 20), generator=generator) * 100
    predictions = torch.cat([boxes, torch.rand((3, 2, 20), generator=generator)], 1)
    hurried = [len(found) for found in nms.non_max_suppression(predictions.clone())]
    assert hurried[0] > 0
    assert hurried[1:] == [0, 0]
    with unhurried():
        assert all(len(found) for found in nms.non_max_suppression(predictions.clone()))
    assert [len(found) for found in nms.non_max_suppression(predictions.clone())] == hurried


def test_an_evaluation_is_unhurried() -> None:
    from ultralytics.utils import nms

    seen = []

    class Validator:
        args = SimpleNamespace(save_txt=False)
        run_callbacks = staticmethod(lambda event: None)

        def init_metrics(self, model: object) -> None:
            seen.append(getattr(nms.non_max_suppression, "keywords", None))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run_batches(Validator(), torch.nn.Identity(), Share(0, range(1), 1), with_loss=False)
    assert seen == [{"max_time_img": math.inf}]


def test_within_repeatable_nothing_is_measured_and_tf32_is_what_ultralytics_has() -> None:
    import torch
    from torch.backends import cudnn

    from yoloscale.yolo.numerics import repeatable

    def flags() -> tuple[bool, ...]:
        return cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    before = flags()
    try:
        cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = True, False, False
        with repeatable():
            assert flags() == (False, True, True, False)
        assert flags() == (True, False, False, False)
    finally:
        cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_machine_names_what_decides_the_bits() -> None:
    import torch

    from yoloscale.yolo.numerics import machine_of

    machine = machine_of(torch.device("cpu"), "bf16")
    assert machine["device"] == "cpu"
    assert machine["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert (machine["precision"], machine["tf32"]) == ("bf16", False)
