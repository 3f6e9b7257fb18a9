"""What the tests for GPUs do, done on CPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.e2e.resuming import stop_and_resume

from yoloscale.checkpoint.compare import differing


@pytest.mark.long
@pytest.mark.parametrize(("task", "ranks"), [("detect", 2), ("rtdetr", 1), ("semantic", 1)])
def test_a_stopped_run_goes_on_with_the_same_bits(
    yoloscale: Any, model_of: Callable[[str], str], task: str, ranks: int
) -> None:
    """On CPUs every task does."""
    arguments = ("batch=16", "nbs=16", "epochs=2", "workers=0", "cluster.threads=1", "amp=fp32", model_of(task))
    whole, resumed = stop_and_resume(yoloscale, *arguments, ranks=ranks)
    assert resumed.trace == whole.trace
    assert list(differing(resumed.state(), whole.state())) == []
