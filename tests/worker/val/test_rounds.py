"""Ranks talk every few seconds, whatever a batch takes, and stop alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yoloscale.distributed.environment import Ranks
from yoloscale.engine.stop_requests import Stop, StopRequests
from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.val.rounds import Rounds, Stopped


def rounds(
    run: RunDirectory, requests: StopRequests, count: int, times: list[float], ranks: Ranks | None = None
) -> Rounds:
    """Of 16 images each; `times` is what the clock says at the start and at each talk."""
    clock = iter(times)
    return Rounds(run, ranks or Ranks(), requests, rounds=count, images=16 * count, clock=lambda: next(clock))


def test_a_talk_comes_about_every_five_seconds(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    each = rounds(run, StopRequests(), 30, [0.0, 0.5, 5.5, 10.5])  # half a second a round
    for _ in range(30):
        each(16)
    told = list(jsonl.read(run.metrics))
    assert [line["images_done"] for line in told] == [16, 176, 336]
    assert {line["images"] for line in told} == {480}
    assert [line["images_per_s"] for line in told] == [32.0, 32.0, 32.0]


def test_slow_rounds_are_each_followed_by_a_talk_but_the_last(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    each = rounds(run, StopRequests(), 3, [0.0, 60.0, 120.0])
    for _ in range(3):
        each(16)
    assert [line["images_done"] for line in jsonl.read(run.metrics)] == [16, 32]


def test_a_request_ends_it_at_the_next_talk(tmp_path: Path) -> None:
    requests = StopRequests()
    each = rounds(RunDirectory(tmp_path), requests, 4, [0.0, 60.0, 120.0])
    each(16)
    requests.ask(Stop.terminate, "SIGTERM")
    with pytest.raises(Stopped) as raised:
        each(16)
    assert (raised.value.stop, raised.value.reason) == (Stop.terminate, "SIGTERM")


def test_nothing_is_stopped_after_the_last_round(tmp_path: Path) -> None:
    requests = StopRequests()
    requests.ask(Stop.terminate, "SIGTERM")
    rounds(RunDirectory(tmp_path), requests, 1, [0.0])(16)


def talk(ranks: Any, steps: Any, folder: str) -> tuple[int, str | None]:
    """On a rank: the last one is asked to stop after its third round; how many rounds it had, and what it was told."""
    requests = StopRequests()
    each = Rounds(
        RunDirectory(Path(folder)), ranks, requests, rounds=1000, images=64000, clock=iter(range(9999)).__next__
    )
    for number in range(1000):
        if number == 3 and ranks.rank == ranks.world_size - 1:
            requests.ask(Stop.terminate, "SIGUSR1")
        try:
            each(16 if ranks.rank == 0 else 0)
        except Stopped as stopped:
            return number, stopped.reason
    return 1000, None


def test_all_ranks_stop_in_the_same_round(launch_ranks: Callable[..., list[Any]], tmp_path: Path) -> None:
    results = launch_ranks(talk, 2, str(tmp_path))
    assert results[0] == results[1]
    assert 3 <= results[0][0] < 1000
    assert results[0][1] == "SIGUSR1"
