"""What needs a CUDA device: `pytest -m gpu`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.e2e.resuming import stop_and_resume

from yoloscale.checkpoint.compare import differing

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
TWO_GPUS = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices")
RUN = ("device=cuda", "batch=16", "nbs=16", "epochs=2", "workers=2")

Model = Callable[[str], str]


def result_of(done: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(done.run.result.read_text())
    return result


@pytest.mark.parametrize(
    ("amp", "precision"), [("true", "fp16"), ("bf16", "bf16"), ("false", "tf32"), ("fp32", "fp32")]
)
def test_one_gpu_in_every_precision(yoloscale: Any, model_of: Model, amp: str, precision: str) -> None:
    done = yoloscale.train("run", *RUN, f"amp={amp}", model_of("detect"), ranks=1)
    assert done.events("training_started")[0]["precision"] == precision
    assert done.events("attempt_started")[0]["processes"][0]["device"] == "cuda:0"
    assert result_of(done)["steps"] == 8
    assert done.run.best_weights.exists()


@pytest.mark.parametrize("task", ["segment", "pose", "obb", "classify", "semantic", "depth", "rtdetr"])
def test_every_task_on_one_gpu(yoloscale: Any, model_of: Model, task: str) -> None:
    done = yoloscale.train("run", *RUN, model_of(task), ranks=1)
    assert result_of(done)["epochs"] == 2


def test_the_batch_is_sized_on_the_gpu(yoloscale: Any, model_of: Model) -> None:
    done = yoloscale.train("run", *RUN, "batch=-1", model_of("detect"), ranks=1)
    plan = done.events("training_started")[0]["plan"]
    assert plan.startswith("global ")
    assert int(plan.split()[1]) >= 1


def test_a_compiled_model_trains(yoloscale: Any, model_of: Model) -> None:
    done = yoloscale.train("run", *RUN, "compile=true", "epochs=1", model_of("detect"), ranks=1, timeout_s=800)
    assert result_of(done)["epochs"] == 1


@pytest.mark.parametrize(
    ("task", "amp"),
    [
        *[("detect", amp) for amp in ("true", "bf16", "false", "fp32")],
        *[(task, "true") for task in ("segment", "pose", "obb", "classify")],
    ],
)
def test_a_stopped_run_goes_on_with_the_same_bits(yoloscale: Any, model_of: Model, task: str, amp: str) -> None:
    """The scaler, too, is part of the state. `deterministic` is on by default."""
    whole, resumed = stop_and_resume(yoloscale, *RUN, f"amp={amp}", model_of(task), ranks=1)
    assert resumed.trace == whole.trace
    assert list(differing(resumed.state(), whole.state())) == []
    assert not [event for event in whole.events("warning") if "deterministic" in event["message"]]


@pytest.mark.parametrize("task", ["semantic", "depth", "rtdetr"])
def test_where_torch_has_no_deterministic_kernel_the_images_are_the_same(
    yoloscale: Any, model_of: Model, task: str
) -> None:
    whole, resumed = stop_and_resume(yoloscale, *RUN, model_of(task), ranks=1)
    assert [line["samples"] for line in resumed.trace] == [line["samples"] for line in whole.trace]
    assert [event for event in whole.events("warning") if "no deterministic kernel" in event["message"]]


@TWO_GPUS
def test_two_gpus_stop_and_go_on_with_the_same_bits(yoloscale: Any, model_of: Model) -> None:
    whole, resumed = stop_and_resume(yoloscale, *RUN, model_of("detect"), ranks=2)
    assert resumed.trace == whole.trace


@TWO_GPUS
@pytest.mark.parametrize("task", ["detect", "rtdetr"])
def test_two_gpus_see_what_one_sees(yoloscale: Any, model_of: Model, task: str) -> None:
    common = ("device=cuda", "nbs=32", "epochs=2", "amp=false", "debug.trace=true", "val=false", model_of(task))
    one = yoloscale.train("one", *common, "batch=8", ranks=1)
    two = yoloscale.train("two", *common, "batch=16", ranks=2)
    assert [line["samples"] for line in one.trace] == [line["samples"] for line in two.trace]
    first = [float.fromhex(done.trace[0]["loss"]) for done in (one, two)]
    assert first[0] == pytest.approx(first[1], rel=1e-3)


@TWO_GPUS
def test_batch_norm_over_two_gpus(yoloscale: Any, model_of: Model) -> None:
    done = yoloscale.train("run", *RUN, "cluster.sync_bn=true", model_of("detect"), ranks=2)
    assert result_of(done)["epochs"] == 2
    published = torch.load(done.run.best_weights, map_location="cpu", weights_only=False)["model"]
    assert not [part for part in published.modules() if isinstance(part, torch.nn.SyncBatchNorm)]
