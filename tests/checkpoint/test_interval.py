"""When a checkpoint is due."""

from __future__ import annotations

import pytest

from yoloscale.checkpoint.interval import SaveClock, When, automatic_s, mean_time_between_failures


def due_steps(when: When, start: int, steps: int, seconds_a_step: float) -> list[int]:
    clock, due = SaveClock(when, start, now=0.0), []
    for done in range(1, steps + 1):
        if clock.is_due(start + done, done * seconds_a_step):
            due.append(start + done)
            clock.saved(start + done, done * seconds_a_step)
    return due


def test_by_steps_counted_over_the_run() -> None:
    assert due_steps(When(every_steps=5), 0, 16, 100.0) == [5, 10, 15]
    assert due_steps(When(every_steps=5), 7, 9, 100.0) == [10, 15], "a resumed run saves at the same steps"
    assert due_steps(When(every_steps=1), 0, 3, 0.0) == [1, 2, 3]


def test_by_minutes() -> None:
    assert due_steps(When(every_s=60), 0, 10, 20.0) == [3, 6, 9]


def test_whichever_comes_first() -> None:
    assert due_steps(When(every_steps=4, every_s=60), 0, 8, 25.0) == [3, 4, 7, 8]


def test_never() -> None:
    assert due_steps(When(automatic=False), 0, 1000, 1000.0) == []


def test_automatic_starts_with_a_minute_and_follows_the_cost() -> None:
    clock = SaveClock(When(mtbf_s=4 * 3600), 0, now=0.0)
    assert clock.interval_s == 60
    clock.measured(blocked_s=0.02, write_s=0.18)
    assert clock.interval_s == pytest.approx(75.9, abs=0.1)  # √(2 · 0.2 · 14400)
    clock.saved(10, now=100.0)
    assert not clock.is_due(11, now=175.0)
    assert clock.is_due(11, now=176.0)


@pytest.mark.parametrize(
    ("blocked_s", "write_s", "mtbf_s", "seconds"),
    [
        (0.0, 0.0, 3600, 10.0),  # not all the time
        (30.0, 300.0, 1e9, 1800.0),  # at least each half hour
        (1.0, 0.0, 60, 100.0),  # standing still for at most 1 % of the time
    ],
)
def test_limits(blocked_s: float, write_s: float, mtbf_s: float, seconds: float) -> None:
    assert automatic_s(blocked_s, write_s, mtbf_s) == seconds


def test_the_time_between_failures_follows_what_is_seen() -> None:
    assert mean_time_between_failures(4.0, 0.0, 0) == 4.0
    assert mean_time_between_failures(4.0, 96.0, 0) == 100.0
    assert mean_time_between_failures(4.0, 6.0, 9) == 1.0
