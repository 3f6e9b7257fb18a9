"""The stream of micro-batches: endless, in order, from any position; its workers end when told to."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import psutil
import pytest

from yoloscale.data.loader import MicroBatchLoader
from yoloscale.data.order import SampleOrder

ORDER = SampleOrder(samples=10, batch=4, world_size=2, accumulate=2, seed=3)


class Numbers:
    """A source whose samples are their index, whether the mosaic is closed, and a random number."""

    def __len__(self) -> int:
        return ORDER.samples

    def sample(self, index: int, mosaic_closed: bool) -> dict[str, Any]:
        return {"index": index, "closed": mosaic_closed, "drawn": random.random()}

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {name: [sample[name] for sample in samples] for name in samples[0]}


def stream(rank: int, start: tuple[int, int], count: int, workers: int = 0) -> list[dict[str, Any]]:
    loader = MicroBatchLoader(Numbers(), ORDER, rank, start, lambda epoch: epoch >= 2, workers, pin_memory=False)
    try:
        return [next(loader) for _ in range(count)]
    finally:
        loader.close()


def expected(rank: int, epochs: int) -> list[list[int]]:
    return [
        list(micro.samples)
        for epoch in range(epochs)
        for index in range(ORDER.steps)
        for micro in ORDER.step(epoch, index, rank).micro_batches
    ]


@pytest.mark.parametrize("rank", [0, 1])
def test_epoch_after_epoch_in_order(rank: int) -> None:
    wanted = expected(rank, 4)
    assert [batch["index"] for batch in stream(rank, (0, 0), len(wanted))] == wanted


def test_from_any_position_and_with_any_workers() -> None:
    whole = stream(0, (0, 0), 12)
    per_epoch = len(expected(0, 1))
    for workers in (0, 1, 2):
        assert stream(0, (1, 0), 12 - per_epoch, workers) == whole[per_epoch:]
        assert stream(0, (1, 1), 10 - per_epoch, workers) == whole[per_epoch + 2 :]


def test_the_mosaic_closes_with_its_epoch() -> None:
    per_epoch = len(expected(0, 1))
    closed = [all(batch["closed"]) for batch in stream(0, (0, 0), 4 * per_epoch)]
    assert closed == [False] * 2 * per_epoch + [True] * 2 * per_epoch


def test_a_sample_draws_the_same_in_one_epoch_and_anew_in_the_next() -> None:
    drawn = {}
    for rank in (0, 1):
        for batch, epoch in zip(stream(rank, (0, 0), len(expected(rank, 2))), epochs_of(rank), strict=True):
            drawn |= {(epoch, i): number for i, number in zip(batch["index"], batch["drawn"], strict=True)}
    assert len(set(drawn.values())) == 2 * ORDER.samples


def epochs_of(rank: int) -> list[int]:
    first = len(expected(rank, 1))
    return [0] * first + [1] * (len(expected(rank, 2)) - first)


def test_closing_ends_the_workers() -> None:
    loader = MicroBatchLoader(Numbers(), ORDER, 0, (0, 0), lambda _: False, 2, pin_memory=False)
    next(loader)
    workers = psutil.Process().children()
    assert len(workers) >= 2
    loader.close()
    _, left = psutil.wait_procs(workers, timeout=60)
    assert not left
    loader.close()
