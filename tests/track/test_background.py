"""Trackers in a thread of their own: the loop never waits, nothing is told twice, what fails is left out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from yoloscale.track import background, marks
from yoloscale.track.background import BackgroundTrackers
from yoloscale.track.tracker import Tracker


class Fake(Tracker):
    def __init__(self) -> None:
        self.told: list[tuple[int, bool]] = []
        self.values: list[Mapping[str, float]] = []
        self.alerts: list[str] = []
        self.closed: list[int] = []

    def log(self, values: Mapping[str, float], step: int, *, is_epoch: bool) -> None:
        self.told.append((step, is_epoch))
        self.values.append(values)

    def alert(self, title: str, text: str) -> None:
        self.alerts.append(title)

    def close(self, exit_code: int) -> None:
        self.closed.append(exit_code)


class Failing(Fake):
    def log(self, values: Mapping[str, float], step: int, *, is_epoch: bool) -> None:
        raise ConnectionError("gone")


Start = Callable[..., BackgroundTrackers]


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def start(tmp_path: Path, warnings: list[str]) -> Iterator[Start]:
    made: list[BackgroundTrackers] = []

    def new(**makers: Callable[[], Tracker]) -> BackgroundTrackers:
        made.append(BackgroundTrackers(makers, tmp_path / "job" / "tracked.json", warnings.append))
        return made[-1]

    yield new
    for each in made:
        each.close(1, timeout_s=10)


def log(trackers: BackgroundTrackers, *steps: int, epoch: int = 1) -> None:
    for step in steps:
        trackers.log({"train/loss": 1.0 * step}, step, epoch=epoch, is_epoch=False)


def test_every_tracker_hears_all_in_order_then_the_end(start: Start) -> None:
    one, two = Fake(), Fake()
    trackers = start(one=lambda: one, two=lambda: two)
    log(trackers, 1, 2)
    trackers.log({"fitness": 0.5}, 2, epoch=1, is_epoch=True)
    trackers.tell(lambda tracker: tracker.alert("a", "b"))
    trackers.close(75, timeout_s=300)
    for fake in (one, two):
        assert (fake.told, fake.alerts, fake.closed) == ([(1, False), (2, False), (2, True)], ["a"], [75])


def test_no_start_tells_again_what_one_before_has_told(start: Start) -> None:
    first, second = Fake(), Fake()
    trackers = start(one=lambda: first)
    log(trackers, 1, 2, 3, 2, 3)  # a roll-back
    trackers.log({}, 3, epoch=1, is_epoch=True)
    trackers.log({}, 3, epoch=1, is_epoch=True)
    trackers.close(75, timeout_s=300)
    again = start(one=lambda: second)
    log(again, 2, 3, 4)
    again.log({}, 3, epoch=1, is_epoch=True)
    again.log({}, 6, epoch=2, is_epoch=True)
    again.close(0, timeout_s=10)
    assert first.told == [(1, False), (2, False), (3, False), (3, True)]
    assert second.told == [(4, False), (6, True)]


def test_the_loop_does_not_wait_for_a_tracker_that_is_being_made(
    start: Start, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "QUEUE_LENGTH", 50)
    answered, fake = threading.Event(), Fake()

    def make() -> Tracker:
        answered.wait()
        return fake

    trackers = start(slow=make)
    log(trackers, *range(1, 101))
    trackers.log({}, 100, epoch=1, is_epoch=True)
    answered.set()
    trackers.close(0, timeout_s=300)
    assert fake.told == [*((step, False) for step in range(1, 51)), (100, True)], "steps are left out, epochs are not"
    assert [warning for warning in warnings if "keep up" in warning] == warnings
    assert len(warnings) == 1


def test_the_end_waits_for_a_bounded_time_and_says_what_it_did_not_wait_for(start: Start, warnings: list[str]) -> None:
    answered = threading.Event()

    def make() -> Tracker:
        answered.wait()
        return Fake()

    trackers = start(slow=make)
    log(trackers, 1)
    trackers.close(0, timeout_s=0.2)
    assert "slow did not take everything" in warnings[0]
    answered.set()


def test_one_that_fails_is_left_out_and_the_others_go_on(start: Start, warnings: list[str]) -> None:
    def refuse() -> Tracker:
        raise ValueError("no such project")

    good, bad = Fake(), Failing()
    trackers = start(absent=refuse, bad=lambda: bad, good=lambda: good)
    log(trackers, 1, 2, 3)
    trackers.close(0, timeout_s=300)
    assert [step for step, _ in good.told] == [1, 2, 3]
    assert [warning.split(":")[0] for warning in warnings] == [
        "absent is left out of this start",
        "bad has failed and gets no more",
    ]
    assert bad.closed == []


def test_numbers_of_an_epoch_are_completed_off_the_loop(tmp_path: Path, warnings: list[str]) -> None:
    fake = Fake()
    threads: list[str] = []

    def goodput() -> dict[str, float]:
        threads.append(threading.current_thread().name)
        return {"epoch/goodput": 0.5}

    trackers = BackgroundTrackers({"one": lambda: fake}, tmp_path / "tracked.json", warnings.append, goodput)
    trackers.log({"fitness": 0.1}, 4, epoch=1, is_epoch=True)
    trackers.close(0, timeout_s=300)
    assert fake.values == [{"fitness": 0.1, "epoch/goodput": 0.5}]
    assert threads == ["trackers"]


def test_without_trackers_there_is_no_thread_and_no_file(start: Start, tmp_path: Path) -> None:
    trackers = start()
    log(trackers, 1)
    trackers.close(0, timeout_s=1)
    assert "trackers" not in [thread.name for thread in threading.enumerate()]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", '{"step": 3}', "[]", '{"step": "x", "epoch": 1}'])
def test_a_damaged_mark_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "tracked.json").write_text(content)
    assert marks.read(tmp_path / "tracked.json") == marks.Marks()
