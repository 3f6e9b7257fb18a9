from __future__ import annotations

import pytest
from tests.fake_time import FakeTime

from yoloscale.system import waiting
from yoloscale.system.waiting import retry, wait_until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(waiting, "time", fake)
    return fake


def test_waiting_ends_with_the_first_true_answer(clock: FakeTime) -> None:
    answers = iter([None, None, "here"])
    assert wait_until(lambda: next(answers), timeout_s=10.0, poll_s=2.0) == "here"
    assert clock.now == 104.0


@pytest.mark.parametrize(("timeout_s", "asked"), [(10.0, 6), (0.0, 1)])
def test_waiting_ends_with_the_time(clock: FakeTime, timeout_s: float, asked: int) -> None:
    answers = list[int]()

    def ask() -> bool:
        answers.append(len(answers))
        return False

    assert wait_until(ask, timeout_s, poll_s=2.0) is False
    assert (len(answers), clock.now) == (asked, 100.0 + timeout_s)


def test_an_error_that_stays_is_raised(clock: FakeTime) -> None:
    answers = iter([ValueError("down"), ValueError("down"), 7])

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retry(ask, ValueError, timeout_s=5.0, poll_s=2.0) == 7
    with pytest.raises(ZeroDivisionError):  # no error that was expected
        retry(lambda: 1 // 0, ValueError, timeout_s=5.0, poll_s=2.0)
    with pytest.raises(ValueError, match="nothing"):
        retry(lambda: int("nothing"), ValueError, timeout_s=5.0, poll_s=2.0)
    assert clock.now == 110.0
