"""The same run on one rank and on several: the same samples, the same losses, the same parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

STEPS = 6
TASKS = ["detect", "segment", "pose", "obb", "classify", "rtdetr"]
COMMON = (
    "debug.trace=true",
    "cluster.threads=1",
    "amp=false",
    "nbs=32",
    "epochs=3",  # of two optimiser steps
    "val=false",
    "workers=0",
    "imgsz=96",
)

Run = Any


def on(yoloscale: Any, ranks: tuple[int, ...], *arguments: str) -> list[Run]:
    """The same run on so many ranks each: micro-batches of 8 images on each rank; 32 images make an optimiser step."""
    runs = {f"{each}-ranks": (each, (*COMMON, f"batch={8 * each}", *arguments)) for each in ranks}
    done: list[Run] = yoloscale.train_together(runs)
    return done


def parameters(run: Run) -> dict[str, torch.Tensor]:
    """Model parameters; batch-norm statistics depend on how many ranks there are, as in any data-parallel training."""
    model = run.state()["model"]
    return {
        name: value.double() for name, value in model.items() if "running" not in name and value.is_floating_point()
    }


def distance(run: Run, other: Run) -> float:
    """Relative 2-norm of the difference of all parameters."""
    mine, theirs = parameters(run), parameters(other)
    assert mine.keys() == theirs.keys()
    difference = sum(float((mine[name] - theirs[name]).square().sum()) for name in mine)
    return float((difference / sum(float(value.square().sum()) for value in mine.values())) ** 0.5)


def assert_equivalent(run: Run, other: Run) -> None:
    assert len(run.trace) == len(other.trace) == STEPS
    assert [line["samples"] for line in run.trace] == [line["samples"] for line in other.trace]
    assert run.trace == other.trace
    assert distance(run, other) == 0.0


def test_one_and_two_ranks_do_the_same(yoloscale: Any, model_of: Callable[[str], str]) -> None:
    one, two = on(yoloscale, (1, 2), "cluster.exact_reduce=true", model_of("detect"))
    assert_equivalent(one, two)


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
def test_one_two_and_four_ranks_do_the_same(yoloscale: Any, model_of: Callable[[str], str], task: str) -> None:
    exact = ("cluster.exact_reduce=true", model_of(task))
    one, two = on(yoloscale, (1, 2), *exact)
    assert_equivalent(one, two)
    assert_equivalent(one, *on(yoloscale, (4,), *exact))


@pytest.mark.long
@pytest.mark.parametrize("task", ["detect", "classify"])  # one loss of each kind: a sum, a mean
def test_without_exact_sums_they_stay_close(yoloscale: Any, model_of: Callable[[str], str], task: str) -> None:
    """Plain fp32 sums differ in the last bit; SGD does not amplify it as Adam's normalisation does."""
    plain = ("optimizer=SGD", "lr0=0.001", model_of(task))
    one, two = on(yoloscale, (1, 2), *plain)
    for other in (two, *on(yoloscale, (4,), *plain)):
        assert [line["samples"] for line in one.trace] == [line["samples"] for line in other.trace]
        assert distance(one, other) < 5e-4
