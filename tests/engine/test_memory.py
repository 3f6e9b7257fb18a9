"""Thousands of checkpoints in the background: the memory of the process stays what it was."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from tests.run_events import lines_of

from yoloscale.checkpoint.interval import When
from yoloscale.engine.loop import Outcome

WARM_UP_STEPS, STEPS, EACH = 300, 2000, 5
LARGEST_GROWTH_BYTES = 8 << 20  # less than two of the 400 states


@pytest.mark.long
def test_the_host_memory_of_2000_steps_with_400_checkpoints_is_flat(toy_run: Callable[..., Any]) -> None:
    process, sizes = psutil.Process(), dict[int, int]()

    def measure(run: Any, steps: int) -> None:
        if steps % 100 == 0 and steps >= WARM_UP_STEPS and steps not in sizes:
            gc.collect()
            sizes[steps] = process.memory_info().rss

    run = toy_run(
        epochs=STEPS // 100,
        samples=800,  # 100 steps an epoch
        when=When(every_steps=EACH),
        stop_before=measure,
        more=500_000,  # four times 2 MB: parameters, their average, two of the optimiser
    )
    assert run.run() is Outcome.finished
    saved = [event for event in lines_of(run.directory) if event["event"] == "checkpoint_saved"]
    assert len(saved) == STEPS // EACH
    assert min(event["bytes"] for event in saved) > 8e6
    growth = sizes[max(sizes)] - sizes[WARM_UP_STEPS]
    print({step: size >> 20 for step, size in sizes.items()})
    assert growth < LARGEST_GROWTH_BYTES, {step: size >> 20 for step, size in sizes.items()}
