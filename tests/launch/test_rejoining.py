"""A run that may go on with fewer nodes: one comes late, is lost and comes back, flaps, or never comes at all."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.ports import free_port
from tests.several_nodes import (
    cabled,
    lose_power,
    node,
    output_of,
    told,
    two_node_run,
    until_attempt_trains,
)

from yoloscale.agent import presence
from yoloscale.backends.status import status
from yoloscale.config.schema import Config
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.status import read_progress

Make = Callable[..., Config]
# of a run that is over in a minute
QUICK: dict[str, Any] = {"members.LAST_CALL_S": 3.0, "members.SETTLE_S": 1.0, "members.REGROUP_PAUSE_S": 1.0}
ENDLESS: dict[str, Any] = {"steps": 100_000, "until": "enough", "constants": QUICK}


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    with cabled(2) as names:
        yield names


@pytest.fixture
def at_home(config: Make) -> Config:
    """Two nodes on this machine, of which one is enough."""
    return config(nodes=2, min_nodes=1, procs_per_node=1, rdzv_endpoint=f"127.0.0.1:{free_port()}")


def worlds(run: RunDirectory) -> list[int]:
    return [record["world_size"] for record in told(run, "attempt_started")]


def all_end(run: RunDirectory, *launchers: subprocess.Popen[bytes], code: int = 0) -> None:
    assert [each.wait(300) for each in launchers] == [code] * len(launchers), output_of(run, 0) + output_of(run, 1)


def finish(run: RunDirectory, *launchers: subprocess.Popen[bytes]) -> None:
    (run.path / "enough").touch()
    all_end(run, *launchers)


def steps_follow(run: RunDirectory) -> None:
    """Every attempt goes on at the very step that the one before has saved: none is done twice, none left out."""
    stops = [record["step"] for record in told(run, "preempted")]
    starts = [record["step"] for record in told(run, "training_started")]
    assert starts == [0, *stops]


@pytest.mark.long
def test_a_node_that_comes_late_takes_part_from_the_next_step_on(
    at_home: Config, standin: None, left_over: Callable[[], list[Any]]
) -> None:
    run = two_node_run(at_home, **ENDLESS)
    first = node(run, 0)
    until_attempt_trains(run, 1)
    second = node(run, 1)
    until_attempt_trains(run, 2)
    finish(run, first, second)
    assert worlds(run) == [1, 2]
    (regrouped,) = told(run, "regrouped")
    assert (regrouped["cause"], regrouped["nodes"]) == ("node 1 is there", 2)
    steps_follow(run)
    assert f"node 1 is there: going on with 2 nodes from step {regrouped['step']}" in output_of(run, 0)
    assert not told(run, "restarted"), "it is no failure"
    assert not left_over()
    assert not list(run.job.glob("node-*.json"))


@pytest.mark.long
def test_a_node_that_comes_and_cannot_start_is_left_out(at_home: Config, standin: None) -> None:
    failures = {"rank": 1, "how": "raise", "attempts": [2], "setup": True}
    run = two_node_run(at_home, **ENDLESS | {"break": failures})
    first = node(run, 0)
    until_attempt_trains(run, 1)
    second = node(run, 1)
    until_attempt_trains(run, 3)
    until_step(run, read_progress(run).step + 100)  # longer than it takes to count on a node that came
    finish(run, first)
    second.wait(300)
    assert worlds(run) == [1, 2, 1]
    cause = told(run, "regrouped")[-1]["cause"]
    assert cause.startswith("node 1 could not start (rank 1 on ")
    assert cause.endswith("ValueError: the loss is a teapot)")
    assert "to go on without it" in output_of(run, 0)
    assert status(run).state == "finished"
    assert not told(run, "restarted")


@pytest.mark.long
def test_a_node_that_was_mended_and_started_again_is_taken(at_home: Config, standin: None) -> None:
    failures = {"rank": 1, "how": "raise", "attempts": [2], "setup": True}
    run = two_node_run(at_home, **ENDLESS | {"break": failures})
    first = node(run, 0)
    until_attempt_trains(run, 1)
    second = node(run, 1)
    until_attempt_trains(run, 3)
    second.kill()
    second.wait()
    again = node(run, 1)
    until_attempt_trains(run, 4)
    finish(run, first, again)
    assert worlds(run) == [1, 2, 1, 2]


@pytest.mark.long
def test_a_node_that_is_lost_and_returns_is_taken_back_without_a_restart_to_spare(
    config: Make, standin: None, namespaces: list[str]
) -> None:
    """Two namespaces; the node comes back twice, which counts against no limit, and stays longer before each time."""
    made = config(nodes=2, min_nodes=1, procs_per_node=1, rdzv_endpoint="10.213.0.1:29500", max_restarts=1)
    run = two_node_run(made, **ENDLESS | {"save_every": 5})
    first, second = (node(run, rank, "ip", "netns", "exec", name) for rank, name in enumerate(namespaces))
    for attempt in (1, 3):
        until_attempt_trains(run, attempt)
        progress = read_progress(run)
        until_step(run, progress.step + 10)
        lose_power(run, second, attempt, 1)
        until_attempt_trains(run, attempt + 1)
        second = node(run, 1, "ip", "netns", "exec", namespaces[1])
    until_attempt_trains(run, 5)
    finish(run, first, second)
    assert worlds(run) == [2, 1, 2, 1, 2]
    assert [record["cause"] for record in told(run, "regrouped")] == ["node 1 is back"] * 2
    assert [record["restarts"] for record in told(run, "restarted")] == [1, 1], "of one without progress"
    assert status(run).state == "finished"
    assert status(run).restarts == 2


def until_step(run: RunDirectory, step: int) -> None:
    deadline = time.monotonic() + 120
    while read_progress(run).step < step:
        assert time.monotonic() < deadline, "it stands still"
        time.sleep(0.1)


@pytest.mark.long
def test_a_person_who_stops_the_run_while_it_saves_for_a_node_has_stopped_it(at_home: Config, standin: None) -> None:
    run = two_node_run(at_home, **ENDLESS | {"save_s": 4.0})
    first = node(run, 0)
    until_attempt_trains(run, 1)
    second = node(run, 1)
    deadline = time.monotonic() + 120
    while "node 1 is there" not in output_of(run, 0):
        assert time.monotonic() < deadline, output_of(run, 0)
        time.sleep(0.05)
    run.stop_request.touch()
    all_end(run, first, code=75)
    second.wait(300)
    assert worlds(run) == [1]
    assert status(run).state == "preempted"
    assert not told(run, "regrouped")


def test_the_run_waits_for_as_many_nodes_as_it_needs_and_says_which_are_missing(config: Make, standin: None) -> None:
    made = config(nodes=3, min_nodes=2, procs_per_node=1, rdzv_endpoint=f"127.0.0.1:{free_port()}")
    run = two_node_run(made, constants={**QUICK, "node_group.FEWEST_TIMEOUT_S": 3.0, "members.FEWEST_TIMEOUT_S": 3.0})
    first = node(run, 0)
    all_end(run, first, code=1)
    found = status(run)
    assert found.state == "failed"
    assert found.error is not None
    assert "1 of at least 2 nodes came within 3 s" in found.error
    assert "lower cluster.min_nodes" in output_of(run, 0)


def test_a_stop_while_nodes_are_waited_for_ends_the_run(config: Make, standin: None) -> None:
    made = config(nodes=3, min_nodes=2, procs_per_node=1, rdzv_endpoint=f"127.0.0.1:{free_port()}")
    run = two_node_run(made)
    first = node(run, 0)
    deadline = time.monotonic() + 60
    while not (told(run, "setup") and (sign := presence.read(run, 0))):
        assert time.monotonic() < deadline, output_of(run, 0)
        time.sleep(0.05)
    assert status(run).phase == "waiting for the other nodes"
    assert sign.pid == first.pid
    first.send_signal(signal.SIGTERM)
    all_end(run, first, code=75)
    assert status(run).state == "preempted"
    assert not run.node_record(0).exists()
