"""Slow ranks are told from slow steps, and what all ranks know of each other's times is true."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from tests.fake_time import FakeTime
from torch import nn

from yoloscale.data.order import MicroBatch, OptimiserStep
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT
from yoloscale.engine.clock import OwnTime, StepClock
from yoloscale.engine.ema import AveragedModel
from yoloscale.engine.precision import Precision
from yoloscale.engine.slow_ranks import EXCESS, EXCESS_S, Straggler, Stragglers, describe, find
from yoloscale.engine.step import StepOutcome, Stepper
from yoloscale.engine.stop_requests import StopRequests

QUICK = OwnTime(0.01, 0.2)


def reports(stragglers: Stragglers, times: list[OwnTime], steps: int) -> list[int]:
    """The steps after which a report came."""
    return [step for step in range(1, steps + 1) if stragglers.add(np.array(times))]


def plainly(times: Sequence[Sequence[OwnTime]]) -> list[Straggler]:
    """What `find` says, rank by rank and step by step."""
    own = [median(sum(step[rank]) for step in times) for rank in range(len(times[0]))]
    found = []
    for rank, own_s in enumerate(own):
        rest = sorted(own[:rank] + own[rank + 1 :])
        others_s = rest[(len(rest) - 1) // 2]
        if own_s > EXCESS * others_s and own_s - others_s > EXCESS_S:
            found.append(Straggler(rank, own_s, others_s, is_loading(times, rank)))
    return sorted(found, key=lambda straggler: -straggler.own_s)


def is_loading(times: Sequence[Sequence[OwnTime]], rank: int) -> bool:
    others = len(times[0]) - 1
    excess_s = [0.0, 0.0]
    for step in times:
        for kind in (0, 1):
            own_s, all_s = step[rank][kind], sum(time[kind] for time in step)
            excess_s[kind] += own_s - (all_s - own_s) / others
    return excess_s[0] > excess_s[1]


@pytest.mark.parametrize("seed", range(60))
def test_many_ranks_are_measured_as_one_after_the_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    steps, ranks = int(random.integers(1, 12)), int(random.integers(2, 40))
    times = random.uniform(0.05, 0.1, (steps, ranks, 2))
    for rank in random.choice(ranks, int(random.integers(0, ranks // 2 + 1)), replace=False):
        times[:, rank, random.integers(2)] += random.uniform(0.0, 0.3)
    if seed % 3 == 0:
        times = np.round(times * 64) / 64  # many are equal
    lists = [[OwnTime(*own) for own in step] for step in times.tolist()]
    assert find(times) == plainly(lists)


@pytest.mark.parametrize(
    ("slow", "sentence"),
    [
        (OwnTime(0.22, 0.2), "rank 2 on c takes 0.42 s a step, the others 0.21 s, and all wait for it: loading images"),
        (OwnTime(0.01, 0.5), "rank 2 on c takes 0.51 s a step, the others 0.21 s, and all wait for it: computing"),
    ],
)
def test_a_slow_rank_is_named_with_what_it_is_slow_at(slow: OwnTime, sentence: str) -> None:
    found = find(np.array([[QUICK, QUICK, slow, QUICK]] * 5))
    assert [straggler.rank for straggler in found] == [2]
    assert describe(found, ["a", "b", "c", "d"]) == sentence


def test_of_two_ranks_the_slower_one() -> None:
    assert [straggler.rank for straggler in find(np.array([[OwnTime(0.3, 0.3), QUICK]]))] == [0]
    assert [straggler.rank for straggler in find(np.array([[QUICK, OwnTime(0.3, 0.3)]]))] == [1]


@pytest.mark.parametrize(
    "times",
    [
        [QUICK, QUICK, QUICK],
        [QUICK, OwnTime(0.02, 0.24), QUICK],  # 24 % more
        [OwnTime(0.0, 0.004), OwnTime(0.0, 0.008)],  # twice as long, and nobody would notice
        [OwnTime(0.5, 0.5), QUICK, OwnTime(0.5, 0.5), OwnTime(0.5, 0.5)],  # most are that slow; rank 1 is quick
    ],
)
def test_no_straggler(times: list[OwnTime]) -> None:
    assert find(np.array([times])) == []


def test_one_slow_step_is_not_a_slow_rank() -> None:
    slow_once = [[OwnTime(5.0, 5.0), QUICK], *([[QUICK, QUICK]] * 4)]
    assert find(np.array(slow_once)) == []


def test_several_are_named_slowest_first() -> None:
    times = [QUICK] * 4 + [OwnTime(0.3, 0.2), OwnTime(0.6, 0.2)]
    found = find(np.array([times]))
    assert [straggler.rank for straggler in found] == [5, 4]
    assert describe(found, list("abcdef")).endswith("; slow too: rank 4 on e")


def test_reports_come_less_and_less_often_and_begin_anew_after_a_good_window() -> None:
    stragglers, slow = Stragglers(window=2), [QUICK, OwnTime(0.5, 0.2)]
    assert reports(stragglers, slow, 33) == [3, 5, 9, 17, 33]  # a step after the windows' ends
    assert reports(stragglers, [QUICK, QUICK], 3) == []
    assert reports(stragglers, slow, 9) == [3, 5, 9]


def test_a_rank_alone_has_nobody_to_wait_for_it() -> None:
    assert reports(Stragglers(window=2), [OwnTime(1.0, 1.0)], 10) == []


def test_the_clock_tells_loading_from_computing() -> None:
    clock = StepClock(torch.device("cpu"))
    for _ in range(2):  # each step anew
        started = time.perf_counter()
        clock.start()
        assert clock.loading(lambda: time.sleep(0.05) or "batch") == "batch"
        time.sleep(0.1)
        own = clock.stop()
        assert own.loading_s >= 0.05
        assert own.computing_s >= 0.1
        assert sum(own) <= time.perf_counter() - started


FAKE = FakeTime()


class Event:
    """A CUDA event where there is no CUDA: it is passed when it is recorded."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing
        self.at = 0.0

    def record(self) -> None:
        self.at = FAKE.perf_counter()

    def elapsed_time(self, last: Event) -> float:
        return 1000 * (last.at - self.at)


def test_on_cuda_the_clock_tells_the_step_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr("yoloscale.engine.clock.time", FAKE)
    clock = StepClock(torch.device("cuda"))
    told = []
    for loading_s, computing_s in ((0.05, 0.0), (0.0, 0.1), (0.0, 0.0)):
        clock.start()
        clock.loading(partial(FAKE.sleep, loading_s))
        FAKE.sleep(computing_s)
        told.append(clock.stop())
    assert told == [(0.0, 0.0), (pytest.approx(0.05), pytest.approx(0.0)), (0.0, pytest.approx(0.1))]


def test_the_loop_warns_once_the_first_step_is_over(
    toy_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_if_of_two_ranks(stepper: Stepper, step: OptimiserStep, told: Sequence[float]) -> StepOutcome:
        return replace(reduce(stepper, step, told), times=np.array([OwnTime(0.4, 0.2), QUICK]))

    reduce = Stepper._reduce
    monkeypatch.setattr(Stepper, "_reduce", as_if_of_two_ranks)
    monkeypatch.setattr("yoloscale.engine.loop.Stragglers", partial(Stragglers, window=2))
    monkeypatch.setattr(HEARTBEAT, "is_settled", False)
    run = toy_run(epochs=2)  # six steps: the first warms up, the fourth and the sixth are after a window
    run.run()
    assert run.notes.warnings == 2 * [
        "rank 0 on this host takes 0.6 s a step, the others 0.21 s, and all wait for it: loading images"
    ]
    assert all(record["data_s"] == 0.4 and record["step_s"] > 0 for record in run.notes.steps)
    assert all(0 < record["data_share"] <= 1 for record in run.notes.steps)


def test_only_the_first_rank_looks_for_slow_ranks_and_makes_records(
    toy_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Stragglers, "add", lambda _, times: asked.append(len(times)) or [])
    run = toy_run(epochs=1, ranks=Ranks(rank=1, world_size=2))
    run.run()
    assert run.loop.progress.position.total > 1
    assert (run.notes.steps, asked) == ([], [])


class SlowLearner:
    """`engine.protocols.Learner` that takes `seconds` for a batch."""

    reduction = "sum"

    def __init__(self, seconds: float) -> None:
        torch.manual_seed(0)
        self.module = nn.Linear(4, 1)
        self._seconds = seconds

    def preprocess(self, batch: dict[str, Any]) -> dict[str, Any]:
        return batch

    def loss(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        time.sleep(self._seconds)
        loss = self.module(batch["img"].mean((2, 3))).square().sum()
        return loss, {"loss": loss.detach()}

    def train_mode(self) -> None: ...

    def start_epoch(self, epoch: int, epochs: int) -> None: ...


def times_of_ranks(ranks: Ranks, group: Any) -> list[list[OwnTime]]:
    """What this rank knows after each of three steps: rank 0 computes for 0.5 s, rank 1 loads for 0.3 s."""
    learner: Any = SlowLearner(0.5 if ranks.rank == 0 else 0.0)
    optimizer = torch.optim.SGD(learner.module.parameters(), lr=0.01)
    average, precision = AveragedModel(learner.module), Precision(None, "cpu")
    fixed = {"seed": 1, "channels_last": False, "exact_reduce": False}
    stepper = Stepper(learner, average, optimizer, precision, StopRequests(), group, **fixed)

    def load() -> dict[str, Any]:
        time.sleep(0.3 if ranks.rank == 1 else 0.0)
        return {"img": torch.ones(2, 4, 3, 3), "sample_id": [0, 1]}

    step = OptimiserStep(0, 0, 0, 4, (MicroBatch(0, ranks.rank, (0, 1)),))
    return [[tuple(own) for own in stepper(step, load, lambda batch: None).times] for _ in range(3)]  # type: ignore[misc]


def test_every_rank_knows_the_times_of_all(launch_ranks: Callable[..., list[Any]]) -> None:
    first, second = launch_ranks(times_of_ranks, 2)
    assert first == second
    loading, computing = ([[own[part] for own in ranks] for ranks in zip(*first, strict=True)] for part in (0, 1))
    # the quickest of three steps: somebody else may need the machine, too
    assert min(loading[0]) < 0.3 <= min(loading[1])
    assert min(computing[1]) < 0.5 <= min(computing[0])  # without the time that rank 1 waits for rank 0
