"""The stream of micro-batches: endless, in order, from any position; its workers end when told to."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import psutil
import pytest

from yoloscale.data.loader import MicroBatchLoader
from yoloscale.data.order import SampleOrder
from yoloscale.data.worker_deaths import WorkerDiedError, describe_workers, worker_deaths_named

ORDER = SampleOrder(samples=10, batch=4, world_size=2, accumulate=2, seed=3)


class Numbers:
    """A source whose samples are their index, whether the mosaic is closed, and a random number."""

    def __len__(self) -> int:
        return ORDER.samples

    def sample(self, index: int, mosaic_closed: bool, shape: tuple[int, int] | None = None) -> dict[str, Any]:
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
    before = psutil.Process().children()  # multiprocessing keeps a process of its own where an earlier test made it
    loader = MicroBatchLoader(Numbers(), ORDER, 0, (0, 0), lambda _: False, 2, pin_memory=False)
    next(loader)
    workers = [child for child in psutil.Process().children() if child not in before]
    assert len(workers) >= 2
    loader.close()
    _, left = psutil.wait_procs(workers, timeout=300)
    assert not left
    loader.close()


class Failing(Numbers):
    """A source whose worker meets its end with the first batch, or cannot send it."""

    def __init__(self, end: Callable[[], Any]) -> None:
        self._end = end

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {"batch": self._end()}


class Unsendable:
    """As a tensor is for which /dev/shm has no room."""

    def __reduce__(self) -> Any:
        raise RuntimeError("unable to allocate shared memory: No space left on device (28)")


def kill(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (partial(kill, signal.SIGKILL), "a loader worker was killed by SIGKILL (often the kernel's out-of-memory"),
        (partial(kill, signal.SIGBUS), "a loader worker was killed by SIGBUS (often shared memory, /dev/shm, is full"),
        (partial(os._exit, 3), "a loader worker exited with code 3"),
        (Unsendable, "a loader worker could not hand its batch over (no room left in /dev/shm"),
    ],
)
def test_a_worker_that_ends_is_an_error_that_says_how(end: Callable[[], Any], sentence: str) -> None:
    loader = MicroBatchLoader(Failing(end), ORDER, 0, (0, 0), lambda epoch: False, workers=1, pin_memory=False)
    try:
        with pytest.raises(WorkerDiedError) as raised, worker_deaths_named():
            next(loader)
    finally:
        loader.close()
    assert str(raised.value).startswith(sentence)


def test_an_error_of_the_source_stays_what_it_is() -> None:
    def fail() -> None:
        raise RuntimeError("a bad image")

    loader = MicroBatchLoader(Failing(fail), ORDER, 0, (0, 0), lambda epoch: False, workers=1, pin_memory=False)
    try:
        with pytest.raises(RuntimeError, match="a bad image") as raised, worker_deaths_named():
            next(loader)
    finally:
        loader.close()
    assert not isinstance(raised.value, WorkerDiedError)


def test_the_workers_of_a_rank_that_waits_are_described() -> None:
    assert describe_workers() == ""
    before = psutil.Process().children()
    loader = MicroBatchLoader(
        Failing(partial(time.sleep, 600)), ORDER, 0, (0, 0), lambda epoch: False, workers=1, pin_memory=False
    )
    loader._batches = iter(loader._loader)  # the workers start
    try:
        told = describe_workers()
        (worker,) = set(psutil.Process().children()) - set(before)
        assert told in [f"its loader workers: pid {worker.pid} {state}" for state in ("sleeping", "running")]
        worker.suspend()
        while worker.status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        assert describe_workers() == f"its loader workers: pid {worker.pid} stopped"
    finally:
        for child in set(psutil.Process().children()) - set(before):
            child.kill()
        loader.close()
