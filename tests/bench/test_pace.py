from __future__ import annotations

import pytest

from yoloscale.bench.pace import Span, steady_images_per_s


def spans(*ends: float, begin: float = 0.0, images: int = 10) -> list[Span]:
    return [Span(start, end, images) for start, end in zip((begin, *ends), ends, strict=False)]


def test_the_first_images_of_a_process_do_not_count() -> None:
    slow_start = spans(100.0, 101.0, 102.0, 103.0)
    assert steady_images_per_s([slow_start], skip=10) == pytest.approx(10.0)


def test_as_many_images_pass_as_are_skipped_however_small_the_pieces() -> None:
    one_by_one = [Span(at, at + 1, 1) for at in range(3)] + [Span(3 + at / 4, 3 + (at + 1) / 4, 1) for at in range(8)]
    assert steady_images_per_s([one_by_one], skip=3) == pytest.approx(4.0)


def test_only_the_time_in_which_all_are_at_it_counts() -> None:
    early, late = spans(1.0, 2.0, 3.0), spans(2.0, 3.0, 4.0, 5.0, begin=1.0)
    assert steady_images_per_s([early, late], skip=10) == pytest.approx(20.0)


def test_a_piece_that_reaches_over_a_limit_counts_by_its_share() -> None:
    exact, wide = spans(1.0, 2.0, 3.0, 4.0), [Span(0.0, 1.5, 10), Span(1.5, 3.5, 40), Span(3.5, 5.5, 40)]
    within = 2.5 * 10 + 40 + 40 * 0.25
    assert steady_images_per_s([exact, wide], skip=10) == pytest.approx(within / 2.5)


def test_a_wait_between_two_pieces_is_time_without_images() -> None:
    waits = [Span(0.0, 1.0, 10), Span(2.0, 3.0, 10), Span(4.0, 5.0, 10)]
    assert steady_images_per_s([waits], skip=10) == pytest.approx(20 / 4)


@pytest.mark.parametrize(
    "processes",
    [[], [[]], [spans(1.0)], [spans(1.0, 2.0), spans(12.0, 13.0, begin=10.0)], [spans(1.0, 2.0), []]],
    ids=["nobody", "no pieces", "one piece", "never together", "one without"],
)
def test_there_is_no_pace_without_such_a_time(processes: list[list[Span]]) -> None:
    assert steady_images_per_s(processes, skip=10) is None
