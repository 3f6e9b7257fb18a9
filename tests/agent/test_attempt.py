"""Real launchers, real torchrun, real signals; only the rank itself is a stand-in that does not import torch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.launched import NEVER_S
from tests.run_events import lines_of

from yoloscale.agent.previous_start import end_leftovers
from yoloscale.backends.run_lock import lock
from yoloscale.backends.status import status
from yoloscale.errors import ConfigError
from yoloscale.launch.cancel import cancel
from yoloscale.runs.directory import RunDirectory

Launch = Callable[..., Any]
ONCE = {"max_restarts": 0}
PATIENT_WITH_RANKS_THAT_TRAIN = {"monitor.TRAINING_STOP_S": NEVER_S, "torchrun.SHUTDOWN_TIMEOUT_S": NEVER_S}


def kinds(run: RunDirectory) -> list[str]:
    return [record["event"] for record in lines_of(run)]


def test_a_run_finishes_and_leaves_its_account(launch: Launch) -> None:
    launched = launch("a run with 'quotes' and $(touch x)", steps=5)
    exit_code, output = launched.wait()
    run = launched.run
    assert exit_code == 0, output
    assert kinds(run)[0] == "attempt_launched"
    assert kinds(run)[-2:] == ["finished", "exited"]
    assert status(run).state == "finished"
    assert status(run).metric == 0.5
    assert "epoch 1/1" in output
    assert "mAP50 0.7500" in " ".join(output.split()) or "mAP50" in output
    record = json.loads(run.launch_record(1).read_text())
    assert record["argv"][-1] == str(run.path)
    assert record["environment"]["YOLOSCALE_ATTEMPT"] == "1"
    assert record["environment"]["GLOO_SOCKET_IFNAME"] == "lo", "one machine needs no network, nor its host name"
    assert "PATH" in record["inherited"]
    assert "PATH" not in record["environment"]
    assert run.rank_log(1, 1).read_text().startswith("rank 1 trains")


def test_a_killed_rank_ends_the_run_at_once_and_is_named(launch: Launch, left_over: Callable[[], list[Any]]) -> None:
    """Nobody hangs, so that nobody need be waited for."""
    failures = {"rank": 1, "how": "SIGKILL", "step": 3}
    launched = launch(cluster=ONCE, steps=2000, **{"break": failures}, constants={"monitor.FAILURE_GRACE_S": NEVER_S})
    launched.until("training_started")
    exit_code, output = launched.wait()
    assert exit_code == 1
    assert "rank 1 on" in output
    assert "SIGKILL" in output
    assert "about to SIGKILL" in output, "the end of its log"
    reports = [record for record in lines_of(launched.run) if record["event"] == "failed"]
    failed = next(record for record in reports if not record.get("collateral"))
    assert (failed["rank"], failed["exit_code"]) == (1, -9)
    assert status(launched.run).state == "failed"
    assert not left_over()


@pytest.mark.long
def test_a_rank_that_hangs_when_another_dies_is_not_waited_for(launch: Launch) -> None:
    failures = [{"rank": 1, "how": "exit", "step": 8}, {"rank": 0, "how": "hang", "step": 3}]
    constants = {"monitor.FAILURE_GRACE_S": 3.0, "torchrun.SHUTDOWN_TIMEOUT_S": NEVER_S}
    launched = launch(cluster=ONCE, steps=2000, **{"break": failures}, constants=constants)
    launched.until("training_started")
    exit_code, output = launched.wait()
    assert exit_code == 1
    assert "rank 1 on" in output
    assert "exit code 3" in output


def test_an_exception_in_a_rank_is_told_with_its_traceback(launch: Launch) -> None:
    launched = launch(cluster=ONCE, steps=2000, **{"break": {"rank": 1, "how": "raise", "step": 3}})
    exit_code, output = launched.wait()
    assert exit_code == 1
    assert "rank 1 on" in output
    assert "ValueError: the loss is a teapot" in output
    assert "in break_down" in output
    reports = [record for record in lines_of(launched.run) if record["event"] == "failed"]
    assert sum(record["rank"] == 1 for record in reports) == 1, "the rank said it itself; the launcher does not again"


@pytest.mark.parametrize(
    ("number", "exit_code", "state"),
    [(signal.SIGTERM, 75, "preempted"), (signal.SIGINT, 130, "cancelled"), (signal.SIGHUP, 75, "preempted")],
)
def test_a_signal_lets_the_ranks_save_and_stop(launch: Launch, number: int, exit_code: int, state: str) -> None:
    launched = launch(steps=2000)
    launched.until("training_started")
    launched.process.send_signal(number)
    code, output = launched.wait()
    assert code == exit_code, output
    assert "preempted" in kinds(launched.run), "the rank's own word that it saved"
    assert status(launched.run).state == state
    assert "yoloscale resume" in output


def test_ctrl_c_before_training_stops_at_once(launch: Launch) -> None:
    launched = launch(steps=2000, constants=PATIENT_WITH_RANKS_THAT_TRAIN)
    launched.until("attempt_launched")
    launched.process.send_signal(signal.SIGINT)
    code, _ = launched.wait()
    assert code == 130
    assert status(launched.run).state == "cancelled"


def test_a_second_ctrl_c_does_not_wait(launch: Launch, left_over: Callable[[], list[Any]]) -> None:
    hang = {"rank": 0, "how": "hang", "step": 2}
    launched = launch(steps=2000, **{"break": hang}, constants=PATIENT_WITH_RANKS_THAT_TRAIN)
    launched.until_said("about to hang", rank=0)
    launched.process.send_signal(signal.SIGINT)
    launched.until_said("Ctrl-C again")
    launched.process.send_signal(signal.SIGINT)
    code, _ = launched.wait()
    assert code == 130
    assert not left_over()


def test_nothing_outlives_a_launcher_that_is_killed(launch: Launch, left_over: Callable[[], list[Any]]) -> None:
    launched = launch(steps=2000)
    launched.until("training_started")
    assert len(left_over()) >= 4, "launcher, agent, two ranks"
    launched.process.kill()
    launched.process.wait()
    psutil.wait_procs(left_over(), timeout=300)
    assert not left_over()
    assert status(launched.run).state == "preempted", "the ranks were told, and saved"


def test_what_the_ranks_left_behind_is_killed(launch: Launch, left_over: Callable[[], list[Any]]) -> None:
    launched = launch(steps=5, child=True)
    assert launched.wait()[0] == 0
    assert not left_over()


def test_a_run_in_use_cannot_be_started_again(launch: Launch) -> None:
    launched = launch(steps=2000)
    launched.until("attempt_launched")
    with pytest.raises(ConfigError, match="trained already"):
        lock(launched.run)
    launched.process.kill()


def test_cancel_stops_through_the_launcher(launch: Launch) -> None:
    launched = launch(steps=2000)
    launched.until("training_started")
    assert cancel(launched.run, timeout_s=300)
    assert launched.wait()[0] == 130
    assert status(launched.run).state == "cancelled"
    with pytest.raises(ConfigError, match="nothing to cancel"):
        cancel(launched.run)


def test_cancel_at_once_leaves_nothing(launch: Launch, left_over: Callable[[], list[Any]]) -> None:
    launched = launch(steps=2000, child=True)
    launched.until("training_started")
    assert cancel(launched.run, at_once=True, timeout_s=300)
    launched.process.wait()
    assert not left_over()
    assert status(launched.run).state == "cancelled"


@pytest.mark.long
def test_the_next_attempt_has_its_own_number_logs_and_rendezvous(launch: Launch) -> None:
    first = launch(steps=2000)
    first.until("training_started")
    first.process.send_signal(signal.SIGTERM)
    assert first.wait()[0] == 75
    second = launch(steps=3)
    assert second.wait()[0] == 0
    run = first.run
    assert [r["attempt"] for r in lines_of(run) if r["event"] == "attempt_launched"] == [1, 2]
    assert run.rank_log(2, 0).exists()
    ids = {json.loads(run.launch_record(attempt).read_text())["job_id"] for attempt in (1, 2)}
    assert len(ids) == 2


def test_the_agent_is_in_a_session_of_its_own(launch: Launch) -> None:
    """A Ctrl-C of the terminal reaches the launcher only, which passes it on once."""
    launched = launch(steps=2000)
    pids = [process["pid"] for process in launched.until("attempt_started")["processes"]]
    assert os.getsid(launched.process.pid) not in {os.getsid(pid) for pid in pids}
    launched.process.terminate()
    assert launched.wait()[0] == 75


def test_who_takes_a_run_up_waits_for_the_ranks_of_a_killed_launcher(launch: Launch) -> None:
    launched = launch(steps=4000)
    pids = [process["pid"] for process in launched.until("attempt_started")["processes"]]
    launched.until("training_started")
    os.kill(launched.process.pid, signal.SIGKILL)
    launched.process.wait()
    said: list[str] = []
    end_leftovers(launched.run, said.append)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert kinds(launched.run)[-1] == "preempted", "they had the time to save"
    assert said
    end_leftovers(launched.run, said.append)
    assert len(said) == 1


@pytest.fixture
def small_disk(tmp_path: Path, mount_disk: Callable[..., Path]) -> Path:
    """A file system of its own for the run directory `run`."""
    return mount_disk(tmp_path / "runs" / "run", "256k")


def test_a_full_disk_does_not_change_the_exit_code_of_a_stop(
    small_disk: Path, launch: Launch, left_over: Callable[[], list[Any]]
) -> None:
    """It tells a cluster to start the run again; the words that go with it find no room."""
    launched = launch(steps=4000)
    launched.until("training_started")
    with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            continue
    launched.process.send_signal(signal.SIGTERM)
    exit_code, output = launched.wait()
    assert exit_code == 75, output
    # a last word that fits into what is left of the file's last block is there; one that does not is told
    has_last_word = any(event["event"] == "exited" for event in lines_of(launched.run))
    assert has_last_word or "No space left" in output
    assert not left_over()
