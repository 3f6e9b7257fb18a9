"""Several nodes without a scheduler: two agents on this machine, and in two network namespaces joined by a cable."""

from __future__ import annotations

import json
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.fake_time import FakeTime
from tests.ports import free_port
from tests.run_events import lines_of, write_event
from tests.several_nodes import (
    cabled,
    lose_power,
    node,
    output_of,
    told,
    two_node_run,
    until_attempt_trains,
)

from yoloscale.agent.attempt import Ended, Observer
from yoloscale.agent.joining import await_next, join_attempts, joining_spec
from yoloscale.agent.nodes import Announcement, commands, newest_announcement, wait_for_first_node
from yoloscale.agent.outcome import Outcome
from yoloscale.agent.spec import NodeSpec
from yoloscale.agent.stop_signals import StopSignals
from yoloscale.config.freeze import freeze, load
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError
from yoloscale.runs import events
from yoloscale.runs.events import EventTail

Make = Callable[..., Config]


def test_commands_are_what_was_typed_and_survive_a_shell() -> None:
    typed = ["train", "name=it's $(touch x)", "data=my data.yaml", "cluster.nodes=2"]
    printed = commands(typed, 2)
    assert [shlex.split(command) for command in printed] == [
        ["yoloscale", *typed, "--node-rank", "0"],
        ["yoloscale", *typed, "--node-rank", "1"],
    ]


def test_two_agents_train_one_run(config: Make, standin: None, left_over: Callable[[], list[Any]]) -> None:
    run = two_node_run(config(nodes=2, procs_per_node=1, rdzv_endpoint=f"127.0.0.1:{free_port()}"))
    second = node(run, 1)  # it may come first
    time.sleep(0.3)
    first = node(run, 0)
    assert first.wait(300) == 0, output_of(run, 0)
    assert second.wait(300) == 0, output_of(run, 1)
    started = next(record for record in lines_of(run) if record["event"] == "attempt_started")
    assert started["world_size"] == 2
    assert sum(record["event"] == "attempt_launched" for record in lines_of(run)) == 1
    assert run.launch_record(1, 1).exists()
    assert not left_over()


@pytest.mark.long
def test_a_rank_that_dies_on_one_node_ends_the_others(config: Make, standin: None) -> None:
    script = {"steps": 4000, "break": {"rank": 1, "how": "raise", "step": 10}}
    endpoint = f"127.0.0.1:{free_port()}"
    run = two_node_run(config(nodes=2, procs_per_node=1, rdzv_endpoint=endpoint, max_restarts=0), **script)
    processes = [node(run, 0), node(run, 1)]
    assert [process.wait(300) for process in processes] == [1, 1], output_of(run, 0) + output_of(run, 1)
    for rank in (0, 1):
        assert "rank 1 on" in output_of(run, rank)
        assert "the loss is a teapot" in output_of(run, rank)


@pytest.mark.long
def test_a_node_that_cannot_reach_the_first_names_the_address(config: Make, standin: None) -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    made = config(nodes=2, procs_per_node=1, rdzv_endpoint=endpoint)
    run = two_node_run(made, constants={"torchrun.READ_TIMEOUT_S": 3, "joining.UNMET_S": 2})
    events.append(run, events.AttemptLaunched(attempt=1, host="another-host", pid=1, argv=[]))
    run.launch_record(1).write_text(json.dumps({"job_id": "nobody-hosts-it"}))
    process = node(run, 1)
    exit_code = process.wait(300)
    assert exit_code == 1, output_of(run, 1)
    assert f"did not meet at {endpoint}" in output_of(run, 1)


def test_another_config_on_another_node_is_refused(config: Make) -> None:
    first = config(nodes=2, rdzv_endpoint="a:1")
    run = two_node_run(first)
    events.append(run, events.AttemptLaunched(attempt=1, host="a", pid=1, argv=[]))
    run.launch_record(1).write_text(json.dumps({"job_id": "x"}))
    second = config(nodes=2, rdzv_endpoint="a:1")
    second.epochs = 3
    with pytest.raises(ConfigError, match="100 on node 0, 3 here"):
        wait_for_first_node(run, second, 1, lambda line: None, timeout_s=5)
    assert wait_for_first_node(run, first, 1, lambda line: None, timeout_s=5).job_id == "x"


def test_a_run_that_ends_without_the_node_that_waits_is_told(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = two_node_run(config(nodes=2, rdzv_endpoint="a:1"))
    events.append(run, events.AttemptLaunched(attempt=1, host="a", pid=1, argv=[]))
    events.append(run, events.AttemptStarted(attempt=1, world_size=1, processes=[]))
    monkeypatch.setattr("yoloscale.agent.nodes.LOOK_S", 0.1)
    end = threading.Timer(0.5, lambda: events.append(run, events.Exited(attempt=1, exit_code=75)))
    end.start()
    with pytest.raises(ConfigError, match="is preempted"):
        wait_for_first_node(run, config(), 1, lambda line: None, timeout_s=20)
    end.join()


def test_a_first_node_that_never_comes_is_told(config: Make) -> None:
    run = two_node_run(config(nodes=2, rdzv_endpoint="a:1"))
    with pytest.raises(ConfigError, match="file system that all nodes share"):
        wait_for_first_node(run, config(), 1, lambda line: None, timeout_s=0.3)


def test_an_attempt_that_is_over_or_was_joined_is_not_joined(config: Make) -> None:
    run = two_node_run(config(nodes=2, rdzv_endpoint="a:1"))
    events.append(run, events.AttemptLaunched(attempt=1, host="a", pid=1, argv=[]))
    run.launch_record(1).write_text(json.dumps({"job_id": "x"}))
    assert newest_announcement(run, 1, EventTail(run)) is not None
    run.launch_record(1, 1).write_text("{}")
    assert newest_announcement(run, 1, EventTail(run)) is None
    assert newest_announcement(run, 2, EventTail(run)) is not None
    events.append(run, events.Exited(attempt=1, exit_code=0))
    assert newest_announcement(run, 2, EventTail(run)) is None


@pytest.mark.parametrize("sign", ["event", "log"])
def test_an_attempt_that_has_its_ranks_is_not_joined(config: Make, sign: str) -> None:
    """torchrun would end all of its ranks to start them again with the new ones."""
    run = two_node_run(config(nodes=2, rdzv_endpoint="a:1"))
    events.append(run, events.AttemptLaunched(attempt=1, host="a", pid=1, argv=[]))
    run.launch_record(1).write_text(json.dumps({"job_id": "x"}))
    assert newest_announcement(run, 1, EventTail(run)) is not None
    if sign == "event":
        events.append(run, events.AttemptStarted(attempt=1, world_size=1, processes=[]))
    else:
        run.attempt_logs(1).mkdir(parents=True)
        run.rank_log(1, 0).touch()
    assert newest_announcement(run, 1, EventTail(run)) is None


class ClockWithSignOfLife(FakeTime):
    """A clock that lets something happen after a time."""

    def __init__(self, after_s: float, happens: Callable[[], None]) -> None:
        super().__init__()
        self._at, self._happens = self.now + after_s, happens

    def sleep(self, seconds: float) -> None:
        before = self.now
        super().sleep(seconds)
        if before < self._at <= self.now:
            self._happens()


def test_a_run_that_went_on_without_this_node_is_not_waited_for_when_its_host_is_down(
    config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yoloscale.agent.joining.LOOK_S", 0.05)
    made = config(nodes=2, rdzv_endpoint="a:1")
    run = two_node_run(made)
    for attempt in (1, 2):
        events.append(run, events.AttemptLaunched(attempt=attempt, host="a", pid=1, argv=[]))
        events.append(run, events.AttemptStarted(attempt=attempt, world_size=1, processes=[]))
        write_event(run, "training_started", attempt=attempt, epochs=1, steps_per_epoch=9, epoch=1, step=0)
    spec = joining_spec(run, made, Announcement(1, "x"), 1)
    clock = ClockWithSignOfLife(1.0, lambda: events.append(run, events.Evaluated(epoch=1, metrics={}, seconds=1)))
    for module in ("joining", "looks"):
        monkeypatch.setattr(f"yoloscale.agent.{module}.time", clock)
    assert await_next(run, spec, Observer(), StopSignals(), patience_s=4.0) is None
    assert 105 <= clock.now < 106, "as long again after each sign of life, and no longer"


def test_a_node_does_not_join_what_was_started_anew_with_another_config(
    config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Node 0 was killed and moved to one process per node: two more here would be ranks that nobody has work for."""
    made = config(nodes=2, rdzv_endpoint="a:1")
    run = two_node_run(made)
    lost = Ended(Outcome(1), was_training=True)

    def attempt_that_loses_node_0(spec: NodeSpec, observer: Observer, requests: StopSignals) -> Ended:
        freeze(replace(load(run.config), cluster=replace(made.cluster, procs_per_node=1)), run.config)
        events.append(run, events.AttemptLaunched(attempt=spec.attempt + 1, host="a", pid=1, argv=[]))
        run.launch_record(spec.attempt + 1).write_text(json.dumps({"job_id": "y"}))
        assert spec.attempt == 1, "it joined"
        return lost

    monkeypatch.setattr("yoloscale.agent.joining.run_attempt", attempt_that_loses_node_0)
    with pytest.raises(ConfigError, match="1 on node 0, 2 here"):
        join_attempts(run, made, Announcement(1, "x"), Observer(), node_rank=1)


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    with cabled(2) as names:
        yield names


@pytest.fixture
def three_namespaces() -> Iterator[list[str]]:
    with cabled(3) as names:
        yield names


@pytest.mark.long
def test_two_network_namespaces_train_one_run(config: Make, standin: None, namespaces: list[str]) -> None:
    run = two_node_run(config(nodes=2, procs_per_node=2, rdzv_endpoint="10.213.0.1:29500"))
    processes = [node(run, rank, "ip", "netns", "exec", name) for rank, name in enumerate(namespaces)]
    assert [process.wait(300) for process in processes] == [0, 0], output_of(run, 0) + output_of(run, 1)
    assert json.loads(run.launch_record(1, 1).read_text())["environment"]["GLOO_SOCKET_IFNAME"] == "ysb"
    started = next(record for record in lines_of(run) if record["event"] == "attempt_started")
    assert started["world_size"] == 4


@pytest.mark.long
def test_a_signal_on_one_namespace_stops_its_node(config: Make, standin: None, namespaces: list[str]) -> None:
    run = two_node_run(config(nodes=2, procs_per_node=1, rdzv_endpoint="10.213.0.1:29500"), steps=4000)
    processes = [node(run, rank, "ip", "netns", "exec", name) for rank, name in enumerate(namespaces)]
    until_attempt_trains(run, 1)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(300) for process in processes] == [75, 75], output_of(run, 0) + output_of(run, 1)


@pytest.mark.long
def test_two_of_three_nodes_go_on_without_the_one_that_is_lost(
    config: Make, standin: None, three_namespaces: list[str]
) -> None:
    """A node that loses power says nothing; the others meet again and start with those that came."""
    made = config(nodes=3, min_nodes=2, procs_per_node=1, rdzv_endpoint="10.213.0.1:29500")
    made.batch = 12  # divides over three nodes, and over two
    run = two_node_run(made, steps=100, save_every=10, constants={"members.LAST_CALL_S": 8.0})
    processes = [node(run, rank, "ip", "netns", "exec", name) for rank, name in enumerate(three_namespaces)]
    until_attempt_trains(run, 1)
    time.sleep(1.0)
    lose_power(run, processes[2], 1, 2)
    assert [process.wait(300) for process in processes[:2]] == [0, 0], output_of(run, 0) + output_of(run, 1)
    assert [record["world_size"] for record in told(run, "attempt_started")] == [3, 2]
    (restarted,) = told(run, "restarted")
    assert told(run, "training_started")[1]["step"] == restarted["step"] > 0


@pytest.mark.long
def test_a_killed_rank_is_started_again_on_both_nodes(
    config: Make, standin: None, left_over: Callable[[], list[Any]]
) -> None:
    script = {"steps": 30, "save_every": 5, "break": {"rank": 1, "how": "SIGKILL", "step": 8, "attempts": [1]}}
    run = two_node_run(config(nodes=2, procs_per_node=1, rdzv_endpoint=f"127.0.0.1:{free_port()}"), **script)
    processes = [node(run, number) for number in (0, 1)]
    assert [process.wait(300) for process in processes] == [0, 0], output_of(run, 0) + output_of(run, 1)
    (restarted,) = told(run, "restarted")
    assert (restarted["rank"], restarted["exit_code"]) == (1, -9)
    assert [record["world_size"] for record in told(run, "attempt_started")] == [2, 2]
    assert all(run.launch_record(2, number).exists() for number in (0, 1))
    for number in (0, 1):
        assert "restarting from the checkpoint of step" in output_of(run, number)
    assert not left_over()


@pytest.mark.long
def test_without_the_first_node_the_others_end(config: Make, standin: None) -> None:
    run = two_node_run(config(nodes=2, procs_per_node=1, rdzv_endpoint=f"127.0.0.1:{free_port()}"), steps=4000)
    processes = [node(run, number) for number in (0, 1)]
    until_attempt_trains(run, 1)
    lose_power(run, processes[0], 1, 0)
    assert processes[1].wait(300) == 1, output_of(run, 1)
    assert "node 0 is gone" in output_of(run, 1)
    assert len(told(run, "attempt_launched")) == 1
