"""Requests to stop that do not come through the launcher: to the agent, to a rank, by file, by time, between hosts."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from tests.launched import NEVER_S
from tests.run_events import lines_of, write_event

from yoloscale.agent import agent_report
from yoloscale.agent.previous_start import end_leftovers
from yoloscale.backends.status import status
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError
from yoloscale.launch.cancel import cancel
from yoloscale.launch.interrupt import interrupt
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.runs import events
from yoloscale.system.variables import STOP_AT

Launch = Callable[..., Any]
Make = Callable[..., Config]


def kinds(launched: Any) -> list[str]:
    return [record["event"] for record in lines_of(launched.run)]


def ranks_of(launched: Any) -> list[psutil.Process]:
    processes = [psutil.Process(entry["pid"]) for entry in launched.until("attempt_started")["processes"]]
    launched.until("training_started")
    return processes


def agent_of(launched: Any) -> psutil.Process:
    agent = ranks_of(launched)[0].parent()
    assert agent is not None
    return agent


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("Received 15 death signal, shutting down workers", signal.SIGTERM),
        ("Received Signals.SIGINT death signal, shutting down workers", signal.SIGINT),
        ("Sending process 15 closing signal SIGTERM", None),
    ],
)
def test_what_the_agent_received_is_in_its_report(line: str, number: signal.Signals | None) -> None:
    assert agent_report.death_signal(f"W1122 15:00:00 api.py:740] {line}\n") is number


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "save_s", "exit_code"),
    [(signal.SIGTERM, 5.0, 75), (signal.SIGUSR1, 0.0, 75), (signal.SIGINT, 0.0, 130)],
)
def test_a_signal_to_the_agent_alone_leaves_the_ranks_their_time_to_save(
    launch: Launch, number: signal.Signals, save_s: float, exit_code: int
) -> None:
    """SLURM signals the agent, not the launcher. With one that a rank failed, the launcher would end them by then."""
    launched = launch(steps=4000, save_s=save_s, constants={"monitor.FAILURE_GRACE_S": 3.0})
    agent_of(launched).send_signal(number)
    code, output = launched.wait()
    assert code == exit_code, output
    assert "preempted" in kinds(launched), "the rank's own word that it saved"
    assert "restarted" not in kinds(launched)


@pytest.mark.long
def test_sigusr2_does_not_end_the_agent(launch: Launch) -> None:
    launched = launch(steps=60)
    agent_of(launched).send_signal(signal.SIGUSR2)
    assert launched.wait()[0] == 0
    assert kinds(launched).count("attempt_launched") == 1


@pytest.mark.long
def test_ranks_that_stop_by_themselves_are_not_started_again(launch: Launch) -> None:
    launched = launch(steps=4000)
    launched.until("training_started")
    launched.run.stop_request.touch()
    code, output = launched.wait()
    assert code == 75, output
    assert "restarted" not in kinds(launched)
    assert status(launched.run).state == "preempted"


@pytest.mark.long
def test_a_file_stops_the_set_up_too(launch: Launch) -> None:
    launched = launch(steps=4000, setup_s=NEVER_S)
    launched.until("attempt_started")
    launched.run.stop_request.touch()
    assert launched.wait()[0] == 75
    assert not launched.run.stop_request.exists()


@pytest.mark.long
def test_ranks_are_told_the_time_and_stop_by_themselves(launch: Launch) -> None:
    launched = launch(cluster={"time": "0:18", "stop_before_s": 15.0}, steps=4000)
    code, output = launched.wait()
    assert code == 75, output
    stopped = next(record for record in lines_of(launched.run) if record["event"] == "preempted")
    begun = lines_of(launched.run)[0]["time"]
    assert stopped["signal"] == "deadline"
    assert stopped["time"] - begun >= 8.5, "half of the limit, as 15 s before it would be sooner"
    stop_at = float(json.loads(launched.run.launch_record(1).read_text())["environment"][STOP_AT])
    assert stop_at - begun <= 9.0, "and no later"
    assert stopped["time"] >= stop_at


@pytest.mark.long
def test_at_the_limit_the_launcher_stops_what_is_still_there(launch: Launch) -> None:
    launched = launch(cluster={"time": "0:08", "stop_before_s": 4.0}, steps=4000, setup_s=NEVER_S)
    code, output = launched.wait()
    assert code == 75, output
    begun, ended = (lines_of(launched.run)[index]["time"] for index in (0, -1))
    assert ended - begun >= 7.5
    assert "restarted" not in kinds(launched)


def test_a_request_that_nobody_was_left_to_honour_is_forgotten(config: Make) -> None:
    taken = create_or_resume(config(), [])
    taken.run.stop_request.touch()
    end_leftovers(taken.run, lambda line: None)
    assert not taken.run.stop_request.exists()
    taken.release()


def test_cancel_reaches_a_launcher_on_another_host_by_file(config: Make) -> None:
    taken = create_or_resume(config(), [])
    events.append(taken.run, events.AttemptLaunched(attempt=1, host="elsewhere", pid=1, argv=[]))
    with pytest.raises(ConfigError, match="on elsewhere"):
        cancel(taken.run, at_once=True)
    assert not taken.run.stop_request.exists()
    assert not cancel(taken.run, timeout_s=0.1), "nobody honours it"
    assert taken.run.stop_request.exists()
    assert [record["event"] for record in lines_of(taken.run)][-1] == "cancelled"
    taken.release()


@pytest.mark.long
def test_interrupt_kills_one_rank_or_asks_all(launch: Launch) -> None:
    launched = launch(cluster={"max_restarts": 1}, steps=4000)
    ranks = ranks_of(launched)
    with pytest.raises(ConfigError, match="no rank 7"):
        interrupt(launched.run, signal.SIGTERM, 7)
    hits = interrupt(launched.run, signal.SIGUSR2, 0)
    assert [(hit.rank, hit.pid) for hit in hits] == [(0, ranks[0].pid)]
    launched.until("checkpoint_saved")
    (hit,) = interrupt(launched.run, signal.SIGKILL, 1)
    assert hit.pid == ranks[1].pid
    assert launched.until("restarted")["rank"] == 1
    deadline = time.monotonic() + 300
    while kinds(launched).count("training_started") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [hit.rank for hit in interrupt(launched.run, signal.SIGTERM)] == [0, 1]
    assert launched.wait()[0] == 75
    with pytest.raises(ConfigError, match="no ranks on record that run now"):
        interrupt(launched.run, signal.SIGTERM)


def test_interrupt_never_hits_a_process_that_is_not_the_rank(config: Make) -> None:
    taken = create_or_resume(config(), [])
    run, host = taken.run, socket.gethostname()
    events.append(run, events.AttemptLaunched(attempt=1, host=host, pid=os.getpid(), argv=[]))
    with pytest.raises(ConfigError, match="pending"):
        interrupt(run, signal.SIGTERM)
    processes = [{"rank": 0, "host": host, "pid": os.getpid(), "device": "cpu"}]
    write_event(run, "attempt_started", attempt=1, processes=processes, time=1.0)
    with pytest.raises(ConfigError, match="no ranks on record"):
        interrupt(run, signal.SIGKILL)
    taken.release()


def test_interrupt_names_the_host_and_the_command_to_type_there(config: Make) -> None:
    taken = create_or_resume(config("it's $(touch x)"), [])
    events.append(taken.run, events.AttemptLaunched(attempt=1, host="node7", pid=1, argv=[]))
    processes = [{"rank": rank, "host": "node7", "pid": 1, "device": "cpu"} for rank in (0, 1)]
    events.append(taken.run, events.AttemptStarted(attempt=1, world_size=2, processes=processes))
    with pytest.raises(ConfigError, match="rank 1 runs on node7") as caught:
        interrupt(taken.run, signal.SIGKILL, 1)
    assert "on node7: yoloscale interrupt" in str(caught.value)
    assert str(caught.value).endswith("--kill --rank 1")
    taken.release()


def test_sigusr1_to_the_launcher_lets_the_ranks_save_and_stop(launch: Launch) -> None:
    launched = launch(steps=4000)
    launched.until("training_started")
    launched.process.send_signal(signal.SIGUSR1)
    code, output = launched.wait()
    assert code == 75, output
    assert kinds(launched)[-2:] == ["preempted", "exited"]


@pytest.mark.long
def test_sigusr2_does_not_end_the_launcher(launch: Launch) -> None:
    launched = launch(steps=20)
    launched.until("training_started")
    launched.process.send_signal(signal.SIGUSR2)
    assert launched.wait()[0] == 0
