"""Who is to blame, from what the ranks last said."""

from __future__ import annotations

import pytest

from yoloscale.distributed.hang.detect import ObservedState, State, find_hang, find_hang_alone
from yoloscale.distributed.hang.reporter import Pulses

STALE_S = 30.0


def rank(
    number: int,
    phase: str,
    age_s: float,
    *,
    step: int = 12,
    limit_s: float = 600.0,
    silent_s: float = 1.0,
    is_settled: bool = True,
) -> ObservedState:
    waits = phase.startswith("waiting")
    state = State(number, f"node{number}", phase, waits, step, age_s, limit_s, is_settled, pulse=1)
    return ObservedState(state, silent_s)


WAITING = "waiting for the other ranks"


@pytest.mark.parametrize(
    ("others", "named", "said"),
    [
        pytest.param(
            [rank(1, "loading images", 612)],
            (1,),
            "rank 1 on node1 did not arrive at step 12 within 600 s: it was loading images for 613 s",
            id="late",
        ),
        pytest.param([rank(1, "loading images", 590)], None, "", id="has time left"),
        pytest.param([rank(1, "computing the metrics", 900, limit_s=7200)], None, "", id="may take longer"),
        pytest.param(
            [rank(1, "running forward and backward", 0.1, step=11, silent_s=80)],
            (1,),
            "rank 1 on node1 did not arrive at step 12 within 600 s: its process does not answer "
            "(stopped, stuck in native code, or its machine is gone); "
            "last heard of at step 11, running forward and backward",
            id="silent",
        ),
        pytest.param(
            [rank(1, WAITING, 0.1, silent_s=80), rank(2, WAITING, 601)],
            (1,),
            "rank 1 on node1 did not arrive at step 12 within 600 s: its process does not answer",
            id="silent while waiting",
        ),
        pytest.param([rank(1, "computing the metrics", 1, limit_s=7200, silent_s=80)], None, "", id="silent, has time"),
        pytest.param(
            [rank(1, "setting up", 40, step=0, limit_s=7200, silent_s=80, is_settled=False)],
            (1,),
            "rank 1 on node1 did not arrive at step 12 within 600 s: its process does not answer",
            id="silent since before it could say that its set-up was over",
        ),
        pytest.param(
            [rank(1, "setting up", 700, step=0, limit_s=7200, is_settled=False)],
            None,
            "",
            id="still sets up, and says so",
        ),
        pytest.param(
            [rank(1, WAITING, 601)], (), "all ranks wait for each other at step 12 for 600 s (rank 0 on", id="all"
        ),
        pytest.param([rank(1, WAITING, 20)], None, "", id="arrived just now"),
        pytest.param(
            [rank(1, WAITING, 601), rank(2, WAITING, 601, step=11)],
            (2,),
            "rank 2 on node2 did not arrive at step 12 within 600 s: it was waiting for the other ranks of step 11",
            id="a step behind",
        ),
        pytest.param([], (1,), "rank 1 never reported within 600 s", id="never came"),
        pytest.param(
            [rank(number, "evaluating", 601) for number in range(1, 8)],
            tuple(range(1, 8)),
            "; and 3 more ranks",
            id="many",
        ),
    ],
)
def test_a_rank_that_has_waited_for_too_long_looks_for_a_hang(
    others: list[ObservedState], named: tuple[int, ...] | None, said: str
) -> None:
    me = rank(0, WAITING, 605)
    hang = find_hang(me.state, [me, *others], STALE_S, world_size=max(len(others), 1) + 1)
    if named is None:
        assert hang is None
    else:
        assert hang is not None
        assert hang.ranks == named
        assert said in hang.message
        assert hang.host == (f"node{named[0]}" if others and named else "")


def test_a_rank_that_hangs_itself_names_itself_and_those_like_it() -> None:
    me = rank(0, "loading images", 600)
    hang = find_hang(me.state, [me, rank(1, "loading images", 600), rank(2, WAITING, 500)], STALE_S, world_size=3)
    assert hang is not None
    assert hang.ranks == (0, 1)


def test_nobody_looks_for_a_hang_before_its_time() -> None:
    me = rank(0, WAITING, 599)
    assert find_hang(me.state, [me, rank(1, "loading images", 700)], STALE_S, world_size=2) is None
    assert find_hang_alone(me.state, 100) is None


def test_a_rank_that_sets_up_for_hours_is_waited_for_as_long_as_it_moves() -> None:
    """Its age is that of its last sign of life."""
    unsettled = {"step": 0, "limit_s": 7200.0, "is_settled": False}
    waiting = [rank(number, WAITING, 5 * 3600, **unsettled) for number in (0, 2)]
    for silent_s in (1.0, STALE_S - 1):
        moving = rank(1, "setting up", 20, silent_s=silent_s, **unsettled)
        assert find_hang(waiting[0].state, [waiting[0], moving, waiting[1]], STALE_S, 3) is None
    standing = rank(1, "setting up", 7201, **unsettled)
    hang = find_hang(waiting[0].state, [waiting[0], standing, waiting[1]], STALE_S, 3)
    assert hang is not None
    assert hang.ranks == (1,)


def test_without_an_answer_each_rank_says_what_it_knows() -> None:
    waits, loads = (
        find_hang_alone(rank(3, WAITING, 700).state, 90),
        find_hang_alone(rank(3, "loading images", 700).state, 90),
    )
    assert waits is not None
    assert loads is not None
    assert "the store that the ranks meet in has not answered for 90 s" in waits.message
    assert (loads.ranks, loads.message) == (
        (3,),
        "rank 3 on node3 hangs at step 12: it has been loading images for 700 s",
    )


def test_a_pulse_that_stands_still_is_silence() -> None:
    def state(pulse: int) -> State:
        return State(1, "b", "loading images", False, 3, 0.0, 600.0, True, pulse)

    pulses = Pulses()
    silent = [
        pulses.observe([state(pulse)], at)[0].silent_s for pulse, at in ((1, 10), (2, 15), (2, 20), (2, 25), (3, 30))
    ]
    assert silent == [0, 0, 5, 10, 0]
