"""Who looks at all ranks: one at a time, and another one if that one stops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch.distributed as dist

from yoloscale.distributed.hang.detect import State
from yoloscale.distributed.hang.reporter import StateReporter
from yoloscale.distributed.hang.state_store import StateStore

INTERVAL_S, STALE_S = 5.0, 30.0


class Ranks:
    """Reporters of three ranks on one store, whose threads are not started: the test is their clock."""

    def __init__(self) -> None:
        store: Any = dist.HashStore()
        self.now_s = 0.0
        self.stores = [StateStore(store, rank, 3) for rank in range(3)]
        self.reporters = [
            StateReporter(states, self._state(rank), lambda: self.now_s, interval_s=INTERVAL_S, stale_s=STALE_S)
            for rank, states in enumerate(self.stores)
        ]

    @staticmethod
    def _state(rank: int) -> State:
        return State(rank, f"node{rank}", "waiting for the other ranks", True, 7, 0.0, 600.0, True, pulse=0)

    def pass_time(self, *running: int, seconds: float = INTERVAL_S) -> None:
        """Let time pass, in which the ranks that run report once; the phase of none of them changes."""
        self.now_s += seconds
        for rank in running:
            reporter = self.reporters[rank]
            mine = reporter.mine
            reporter.mine = replace(mine, age_s=mine.age_s + seconds, pulse=mine.pulse + 1)
            reporter._exchange()

    def go_on(self, rank: int) -> None:
        self.reporters[rank].mine = replace(self.reporters[rank].mine, age_s=0.0)

    @property
    def observers(self) -> list[int]:
        return [rank for rank, reporter in enumerate(self.reporters) if reporter.observed_states]


@pytest.fixture
def ranks() -> Ranks:
    made = Ranks()
    made.pass_time(0, 1, 2)
    return made


def test_nobody_looks_at_the_others_as_long_as_there_is_time(ranks: Ranks) -> None:
    ranks.pass_time(0, 1, 2, seconds=500)
    assert ranks.observers == []


def test_one_looks_at_all_for_all(ranks: Ranks) -> None:
    ranks.pass_time(0, 1, 2, seconds=560)
    assert ranks.observers == [0]
    assert [observed.state.rank for observed in ranks.reporters[0].observed_states] == [0, 1, 2]


def test_an_observer_that_stops_is_replaced(ranks: Ranks) -> None:
    ranks.pass_time(0, 1, 2, seconds=560)
    for _ in range(8):
        ranks.pass_time(1, 2)
    assert ranks.reporters[1].observed_states or ranks.reporters[2].observed_states


def test_an_observer_that_goes_on_is_replaced(ranks: Ranks) -> None:
    ranks.pass_time(0, 1, 2, seconds=560)
    ranks.go_on(0)
    ranks.pass_time(0, 1, 2)
    ranks.pass_time(0, 1, 2)
    assert ranks.observers == [1]


def test_a_rank_that_stopped_is_silent_and_one_that_runs_is_not(ranks: Ranks) -> None:
    ranks.pass_time(0, 1, 2, seconds=560)
    for _ in range(4):
        ranks.pass_time(0, 1)
    # its last report was seen with the first of the four looks
    assert [observed.silent_s for observed in ranks.reporters[0].observed_states] == [0.0, 0.0, 3 * INTERVAL_S]


def test_the_first_report_counts_and_reaches_all(ranks: Ranks) -> None:
    assert [states.report_first(f"says {rank}") for rank, states in enumerate(ranks.stores)] == [True, False, False]
    ranks.pass_time(0, 1, 2)
    assert [reporter.hang for reporter in ranks.reporters] == ["says 0"] * 3


def test_a_rank_that_never_published_is_left_out() -> None:
    ranks = Ranks()
    ranks.pass_time(0, 2)
    assert [state.rank for state in ranks.stores[0].read()] == [0, 2]
