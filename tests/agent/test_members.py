"""Which nodes take part in the next attempt, and when those that came back are a reason to start it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from yoloscale.agent import members, presence
from yoloscale.agent.members import Members, Regrouping
from yoloscale.agent.presence import Answer, Sign, read
from yoloscale.config.freeze import freeze
from yoloscale.config.schema import Config
from yoloscale.runs.directory import RunDirectory


class Clock:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: dict[float, Callable[[], None]] = {}

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        for when in sorted(self.at):
            if when <= self.now + seconds:
                self.at.pop(when)()
        self.now += seconds


class Site:
    """A run's folder, node 0's view of the others, and these, each of which answers once a second while it is up."""

    def __init__(self, run: RunDirectory, clock: Clock, nodes: int = 2) -> None:
        self.run, self.clock = run, clock
        self.members = Members(run, nodes=nodes, fewest=1, clock=clock)
        self.up: dict[int, int] = {}  # pid of the launcher of each node
        self.beats = 0

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.answer()
            self.clock.now += 1.0
            self.members.look()

    def answer(self, **changes: Any) -> None:
        called = read(self.run, 0)
        assert called is not None, "node 0 calls"
        for node, pid in self.up.items():
            self.beats += 1
            sign = replace(called, host=f"host{node}", pid=pid, beat=self.beats, **changes)
            self.run.node_record(node).write_text(json.dumps(asdict(sign)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(members.time, "sleep", clock.sleep)
    monkeypatch.setattr(members.time, "monotonic", clock)
    return clock


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    run.job.mkdir(parents=True)
    return run


@pytest.fixture
def site(run: RunDirectory, clock: Clock) -> Iterator[Site]:
    site = Site(run, clock)
    site.members.look()
    yield site
    site.members.close()
    assert not run.node_record(0).exists()


def never() -> bool:
    return False


def test_node_0_goes_on_alone_when_nobody_came_within_the_last_call(site: Site) -> None:
    assert site.members.gather(never) == (0,)
    assert members.LAST_CALL_S <= site.clock.now < members.LAST_CALL_S + 1


def test_node_0_waits_for_as_many_as_it_needs_and_then_for_no_longer_than_told(site: Site) -> None:
    site.members.fewest = 2
    assert site.members.gather(never) == (0,)
    assert members.FEWEST_TIMEOUT_S <= site.clock.now < members.FEWEST_TIMEOUT_S + 1


def test_all_nodes_start_as_soon_as_the_last_has_answered(site: Site) -> None:
    site.up[1] = 7
    site.clock.at[12.0] = site.answer
    assert site.members.gather(never) == (0, 1)
    assert 12 <= site.clock.now < 14


def test_waiting_ends_when_the_run_is_to_stop(site: Site) -> None:
    assert site.members.gather(lambda: site.clock.now > 5) is None


def test_a_node_that_has_answered_before_and_is_silent_now_is_not_there(site: Site) -> None:
    """It lost power a second ago: an attempt that counts on it would wait for ten minutes."""
    site.up[1] = 7
    site.pass_time(5)
    site.clock.now += 1
    assert site.members.gather(never) == (0,)


def test_an_answer_to_an_earlier_launcher_of_node_0_is_none(site: Site) -> None:
    site.up[1] = 7
    for _ in range(3):
        site.answer(call="an earlier one")
        site.clock.now += 1.0
        site.members.look()
    assert site.members.gather(never) == (0,)
    assert site.members.newcomers((0,)) == []


def test_a_half_written_answer_is_read_again(site: Site) -> None:
    site.up[1] = 7
    site.clock.at[3.0] = lambda: site.run.node_record(1).write_text('{"call": "') and None
    site.clock.at[8.0] = site.answer
    assert site.members.gather(never) == (0, 1)


def test_a_node_that_comes_late_is_waited_for_until_it_has_settled(site: Site) -> None:
    site.up[1] = 7
    site.pass_time(members.SETTLE_S - 1)
    assert site.members.newcomers((0,)) == []
    site.pass_time(3)
    assert site.members.newcomers((0,)) == [1]
    assert site.members.newcomers((0, 1)) == []


def test_a_node_that_flaps_has_to_stay_longer_each_time(site: Site) -> None:
    waited = []
    for pid in range(1, 12):
        site.up = {1: pid}  # its launcher is started anew
        begun = site.clock.now
        site.pass_time(1)
        while not site.members.newcomers((0,)):
            site.pass_time(1)
        waited.append(site.clock.now - begun)
    assert waited[0] == pytest.approx(members.SETTLE_S, abs=2)
    assert waited[3] == pytest.approx(4 * members.SETTLE_S, abs=2)
    assert waited[-1] == pytest.approx(members.LONGEST_SETTLE_S, abs=2)


def test_a_node_that_falls_silent_and_speaks_again_has_been_away(site: Site) -> None:
    site.up[1] = 7
    site.pass_time(20)
    site.up = {}
    site.pass_time(members.LOST_S + 2)
    assert site.members.lost((0, 1)) == [1]
    assert site.members.newcomers((0,)) == []
    site.up[1] = 7
    site.pass_time(4)
    assert site.members.lost((0, 1)) == []
    assert site.members.newcomers((0,)) == [], "it has just come back"
    site.pass_time(members.SETTLE_S)
    assert site.members.newcomers((0,)) == [1]


def test_time_in_which_node_0_did_not_look_is_nobodys_silence(site: Site) -> None:
    site.up[1] = 7
    site.pass_time(20)
    site.clock.now += 300
    site.members.look()
    assert site.members.lost((0, 1)) == []


def test_an_attempt_is_not_ended_for_a_newcomer_before_it_has_trained_for_a_while(site: Site) -> None:
    said: list[str] = []
    regrouping = Regrouping(site.members, (0,), said.append)
    site.up[1] = 7
    site.pass_time(120)
    assert not regrouping.is_due(is_training=False)
    assert not regrouping.is_due(is_training=True)
    site.pass_time(members.REGROUP_PAUSE_S - 1)
    assert not regrouping.is_due(is_training=True)
    site.pass_time(2)
    assert regrouping.is_due(is_training=True)
    assert (regrouping.cause, regrouping.nodes) == ("node 1 is there", 2)
    assert regrouping.is_due(is_training=True)
    assert len(said) == 1


def test_a_node_that_took_part_is_back_and_one_that_is_gone_before_training_is_left_out(site: Site) -> None:
    site.up[1] = 7
    site.pass_time(5)
    site.members.began((0, 1))
    before = Regrouping(site.members, (0, 1), lambda line: None)
    assert not before.is_due(is_training=False)
    site.up = {}
    site.pass_time(members.LOST_S + 2)
    assert before.is_due(is_training=False)
    assert (before.cause, before.nodes) == ("node 1 is gone before training began", 1)
    alone = Regrouping(site.members, (0,), lambda line: None)
    site.up[1] = 7
    assert not alone.is_due(is_training=True)
    site.pass_time(members.REGROUP_PAUSE_S + 1)
    assert alone.is_due(is_training=True)
    assert alone.cause == "node 1 is back"


def test_a_node_answers_only_a_call_for_its_own_config_and_tells_a_living_one_from_a_dead_one(
    run: RunDirectory, config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "BEAT_S", 0.0)
    first, second = config(nodes=2, min_nodes=1), config(nodes=2, min_nodes=1)
    second.epochs = 3
    freeze(first, run.config)
    answer = Answer(run, second, 1, None)
    answer.beat()
    assert read(run, 1) is None, "nobody calls"
    call = presence.Call(run, 0, "a call", None)
    call.beat()
    answer.beat()
    answer.beat()
    assert not answer.is_refused, "its launcher may have been killed, and another one freezes this very config"
    call.beat()
    answer.beat()
    assert answer.is_refused
    assert read(run, 1) is None
    freeze(second, run.config)
    presence.Call(run, 0, "another call", None).beat()
    answer.beat()
    assert not answer.is_refused
    taken = read(run, 1)
    assert taken is not None
    assert taken.call == "another call"
    answer.close()
    assert read(run, 1) is None


def test_a_node_of_another_start_of_a_job_does_not_answer(run: RunDirectory, config: Callable[..., Config]) -> None:
    freeze(config(nodes=2, min_nodes=1), run.config)
    presence.Call(run, 0, "a call", "41.1.0").beat()
    for start in ("41.0.0", None):
        Answer(run, config(nodes=2, min_nodes=1), 1, start).beat()
        assert read(run, 1) is None
    Answer(run, config(nodes=2, min_nodes=1), 1, "41.1.0").beat()
    assert read(run, 1) is not None


def test_a_sign_is_read_whole_or_not_at_all_while_it_is_written(run: RunDirectory) -> None:
    def write() -> None:
        for number in range(2000):
            call = presence.Call(run, 1, "c" * (number % 7), None)
            call.beat()

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        found = read(run, 1)
        assert found is None or isinstance(found, Sign)
    writer.join()
