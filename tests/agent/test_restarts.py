"""What is started again, from where, and when it is given up: counted by hand, then with real processes and signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.run_events import lines_of, write_event

from yoloscale.agent import attempts
from yoloscale.agent.attempts import TimeLimit, time_limit
from yoloscale.agent.outcome import AgentEnd, Failure, Outcome, outcome_of
from yoloscale.agent.restarts import Restarts, cause, may_restart, newest_step
from yoloscale.backends import registry
from yoloscale.backends.slurm import own_job
from yoloscale.backends.status import status
from yoloscale.config.schema import ClusterConfig
from yoloscale.exit_codes import FAILED, FINISHED, INTERRUPTED, STOPPED
from yoloscale.launch.cancel import cancel
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.progress import Progress
from yoloscale.runs.wording import wording

Launch = Callable[..., Any]
KILLED = Failure(rank=1, host="node7", exit_code=-9, error="was killed by SIGKILL", is_recorded=False)
RAISED = replace(KILLED, exit_code=1, error="ValueError: teapot", is_recorded=True, traceback="Traceback …")


def told(run: RunDirectory, event: str) -> list[dict[str, Any]]:
    return [record for record in lines_of(run) if record["event"] == event]


def test_failures_at_the_same_checkpoint_are_counted_and_the_first_is_remembered() -> None:
    restarts = Restarts(2)
    for number, error in enumerate(("first", "second", "third"), start=1):
        assert not restarts.are_used_up
        restarts = restarts.after(replace(KILLED, error=error), 40)
        assert restarts.count == number
    assert restarts.are_used_up
    assert restarts.first is not None
    assert restarts.first.error == "first"
    assert restarts.reason == "given up after 2 restarts from step 40 without progress"


def test_a_run_without_checkpoints_counts_its_parts(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert attempts.newest_saved(run) == 0
    run.predictions.mkdir()
    for name in ("part-000000.parquet", "part-1000000.parquet", "part-000008.parquet.tmp", "notes.txt"):
        (run.predictions / name).touch()
    assert attempts.newest_saved(run) == 2
    restarts = Restarts(1, words=wording("predict"))
    for parts in range(1, 9):
        restarts = restarts.after(KILLED, parts)
        assert not restarts.are_used_up
    restarts = restarts.after(KILLED, 8)
    assert restarts.are_used_up
    assert restarts.reason == "given up after 1 restart from 8 parts without progress"


def test_a_newer_checkpoint_starts_the_count_anew_and_an_older_one_does_not() -> None:
    restarts = Restarts(1)
    for step in range(0, 1000, 10):
        restarts = restarts.after(replace(KILLED, error=f"at {step}"), step)
        assert not restarts.are_used_up
    assert restarts.after(KILLED, 980).are_used_up, "the newest was set aside: that is no progress"


def test_the_same_exception_at_the_same_step_is_not_tried_a_third_time() -> None:
    teapot = replace(RAISED, at_step=41)
    restarts = Restarts(3).after(replace(teapot, error="OSError: stale file handle"), 30).after(teapot, 40)
    assert not restarts.are_used_up
    restarts = restarts.after(teapot, 40)
    assert restarts.are_used_up
    assert restarts.reason == "given up: it came again at step 41, where it came before"
    assert restarts.first == teapot, "what is told is what came twice"


def test_a_checkpoint_of_the_step_before_is_no_progress_if_the_exception_is_the_same() -> None:
    teapot = replace(RAISED, at_step=41)
    assert Restarts(3).after(teapot, 30).after(teapot, 40).are_used_up


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (replace(RAISED, at_step=41), replace(RAISED, at_step=43)),
        (replace(RAISED, at_step=41), replace(RAISED, at_step=41, error="ValueError: another")),
        (replace(KILLED, at_step=41), replace(KILLED, at_step=41)),
        (RAISED, RAISED),  # of a run without steps, or an older version, which did not say where
    ],
)
def test_what_differs_may_be_gone_the_next_time(before: Failure, after: Failure) -> None:
    assert not Restarts(3).after(before, 40).after(after, 40).are_used_up


def test_a_full_gpu_is_tried_once_more_whatever_its_numbers() -> None:
    full = [replace(RAISED, at_step=41, error=f"OutOfMemoryError: {free} GiB free") for free in (1, 2)]
    assert not Restarts(3).after(full[0], 40).are_used_up
    assert Restarts(3).after(full[0], 40).after(full[1], 40).are_used_up


def test_a_cause_in_a_sentence() -> None:
    assert cause(KILLED) == "rank 1 on node7: was killed by SIGKILL"
    assert "its node may be down" in cause(replace(RAISED, collateral=True))
    assert cause(replace(KILLED, collateral=True, is_told=True)) == "rank 1 on node7: was killed by SIGKILL"


def test_the_pause_grows_to_half_a_minute() -> None:
    restarts, pauses = Restarts(100), []
    for _ in range(30):
        restarts = restarts.after(KILLED, 0)
        pauses.append(restarts.pause_s)
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == 30.0


def test_the_newest_checkpoint_is_read_from_the_names() -> None:
    names = ["step-000000009", "step-000000120", "step-000000999.broken", ".step-000000500", "best"]
    assert newest_step(names) == 120
    assert newest_step([]) == 0


@pytest.mark.parametrize(
    ("outcome", "was_training", "again"),
    [
        (Outcome(FAILED, KILLED), True, True),
        (Outcome(FAILED, KILLED), False, True),
        (Outcome(FAILED, RAISED), True, True),
        (Outcome(FAILED, RAISED), False, False),
        (Outcome(FAILED, replace(RAISED, collateral=True)), False, True),
        (Outcome(2, RAISED), True, False),
        (Outcome(STOPPED), True, False),
        (Outcome(INTERRUPTED), True, False),
        (Outcome(FINISHED), True, False),
    ],
)
def test_what_may_be_started_again(outcome: Outcome, was_training: bool, again: bool) -> None:
    assert may_restart(outcome, was_training) is again


def agent_end(exit_code: int, stop: signal.Signals | None = None) -> AgentEnd:
    return AgentEnd(exit_code=exit_code, log="", host="here", stop=stop)


def test_a_killed_agent_is_a_failure_although_its_ranks_saved_and_stopped() -> None:
    stopped = events.Preempted(attempt=1, step=3, epoch=1, signal="SIGTERM", outcome="preempted")
    outcome = outcome_of(Progress(stopped=stopped), agent_end(-9))
    assert outcome.exit_code == FAILED
    assert outcome.failure is not None
    assert "agent was killed by SIGKILL" in outcome.failure.error


def test_a_node_that_stops_before_the_others_is_no_failure() -> None:
    lost = events.Failed(attempt=1, rank=0, error="Connection closed by peer", collateral=True)
    assert outcome_of(Progress(failures=[lost]), agent_end(1, signal.SIGTERM)).exit_code == STOPPED
    assert outcome_of(Progress(failures=[lost]), agent_end(1)).exit_code == FAILED


def test_the_limit_is_that_of_the_start() -> None:
    limit = time_limit(ClusterConfig(time="10", stop_before_s=100.0), 1000.0)
    assert (limit.stop_at, limit.limit_at) == (1500.0, 1600.0)
    assert time_limit(ClusterConfig(), 1000.0).stop_at is None


def test_the_end_of_the_job_around_a_start_is_its_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(own_job, "left_s", lambda: 600.0)
    assert registry.job_time_left() is None, "no node of a job"
    assert attempts.end_of_job(ClusterConfig(), None, TimeLimit(), said.append) is None
    monkeypatch.setenv("SLURMD_NODENAME", "node1")
    left_s = registry.job_time_left()
    assert attempts.end_of_job(ClusterConfig(), left_s, TimeLimit(), said.append) is not None
    assert said == ["this job ends in 10 minutes: all ranks save and stop 120 s before"]
    attempts.end_of_job(ClusterConfig(), left_s, time_limit(ClusterConfig(time="5"), time.time()), said.append)
    attempts.end_of_job(ClusterConfig(), lambda: None, TimeLimit(), said.append)
    assert len(said) == 1


def test_between_two_attempts_it_is_restarting_for_as_long_as_its_launcher_lives(tmp_path: Path) -> None:
    run, host = RunDirectory(tmp_path), socket.gethostname()
    events.append(run, events.AttemptLaunched(attempt=1, host=host, pid=os.getpid(), argv=[]))
    events.append(run, events.Exited(attempt=1, exit_code=1, goes_on=True))
    assert status(run).state == "restarting"
    write_event(run, "restarted", attempt=2, step=0, cause="rank 1 on node7: out of memory")
    assert events.last_attempt(events.history(run)) == 1, "it is still to come"
    assert (status(run).state, status(run).restarts) == ("restarting", 1)
    assert status(run).restart_cause == "rank 1 on node7: out of memory"
    gone = subprocess.Popen(["true"])
    gone.wait()
    events.append(run, events.AttemptLaunched(attempt=2, host=host, pid=gone.pid, argv=[]))
    events.append(run, events.Exited(attempt=2, exit_code=1, goes_on=True))
    assert status(run).state == "failed", "the launcher is gone"


def test_a_killed_rank_is_started_again_from_the_newest_checkpoint(launch: Launch) -> None:
    launched = launch(steps=14, save_every=5, **{"break": {"rank": 1, "how": "SIGKILL", "step": 8, "attempts": [1]}})
    exit_code, output = launched.wait()
    assert exit_code == 0, output
    (restarted,) = told(launched.run, "restarted")
    assert (restarted["attempt"], restarted["rank"], restarted["exit_code"], restarted["step"]) == (2, 1, -9, 5)
    assert (restarted["restarts"], restarted["max_restarts"]) == (1, 3)
    assert "SIGKILL" in restarted["cause"]
    assert [record["step"] for record in told(launched.run, "training_started")] == [0, 5]
    assert [record.get("goes_on", False) for record in told(launched.run, "exited")] == [True, False]
    assert "restarting from the checkpoint of step 5 (1 of 3 without progress)" in output
    assert "failed: rank 1 on" in output
    assert "finished" in output


@pytest.mark.long
def test_progress_allows_more_restarts_than_the_limit(launch: Launch) -> None:
    breaks = [{"rank": 0, "how": "exit", "step": 6 * attempt, "attempts": [attempt]} for attempt in (1, 2, 3)]
    launched = launch(cluster={"max_restarts": 1}, steps=20, save_every=5, **{"break": breaks})
    exit_code, output = launched.wait(300)
    assert exit_code == 0, output
    assert [record["step"] for record in told(launched.run, "restarted")] == [5, 10, 15]
    assert {record["restarts"] for record in told(launched.run, "restarted")} == {1}


@pytest.mark.long
def test_it_is_given_up_with_the_cause_of_the_first_failure(launch: Launch) -> None:
    breaks = [
        {"rank": 1, "how": "raise", "step": 8, "attempts": [1]},
        {"rank": 0, "how": "SIGKILL", "step": 8, "attempts": [2]},
    ]
    launched = launch(cluster={"max_restarts": 1}, steps=4000, save_every=5, **{"break": breaks})
    exit_code, output = launched.wait(300)
    assert exit_code == 1
    ending = output[output.index("The run failed") :]
    assert "rank 1 on" in ending
    assert "ValueError: the loss is a teapot" in ending
    assert "Given up after 1 restart from step 5 without progress" in ending
    assert "attempt-1/rank-1.log" in ending
    assert "about to raise" in ending, "the end of the log of the first failure"
    gave_up = next(record for record in told(launched.run, "failed") if record.get("gave_up"))
    assert (gave_up["rank"], gave_up["step"], gave_up["restarts"]) == (1, 5, 1)
    assert len(told(launched.run, "attempt_launched")) == 2
    assert "teapot" in str(status(launched.run).error)


def test_a_rank_that_breaks_when_asked_to_stop_leaves_a_run_to_go_on_with(launch: Launch) -> None:
    """As it does a moment earlier, between two attempts. With exit code 1 a cluster would not requeue it."""
    launched = launch(steps=4000, **{"break": {"rank": 1, "how": "raise", "step": "stop"}})
    launched.until("training_started")
    launched.process.send_signal(signal.SIGTERM)
    exit_code, output = launched.wait()
    assert exit_code == 75, output
    assert "the loss is a teapot" in output
    assert status(launched.run).state == "preempted"
    assert len(told(launched.run, "attempt_launched")) == 1


@pytest.mark.long
def test_what_cannot_start_is_not_tried_again(launch: Launch) -> None:
    launched = launch(steps=5, **{"break": {"rank": 1, "how": "raise", "setup": True}})
    exit_code, output = launched.wait()
    assert exit_code == 1
    assert not told(launched.run, "restarted")
    assert "the loss is a teapot" in output


@pytest.mark.long
def test_a_killed_agent_costs_no_step(launch: Launch) -> None:
    """The kernel tells its ranks, and they have the time to save."""
    launched = launch(steps=60, save_s=2.0)
    pids = [process["pid"] for process in launched.until("attempt_started")["processes"]]
    launched.until("training_started")
    agent = psutil.Process(pids[0]).parent()
    assert agent is not None
    agent.kill()
    exit_code, output = launched.wait()
    assert exit_code == 0, output
    (restarted,) = told(launched.run, "restarted")
    assert "agent was killed by SIGKILL" in restarted["cause"]
    (stopped,) = told(launched.run, "preempted")
    assert restarted["step"] == stopped["step"] == told(launched.run, "training_started")[1]["step"]


@pytest.mark.long
@pytest.mark.parametrize("by", ["SIGTERM", "cancel", "file"])
def test_a_request_between_two_attempts_is_honoured(launch: Launch, by: str) -> None:
    breaks = [{"rank": 1, "how": "exit", "step": 2}]
    launched = launch(steps=4000, **{"break": breaks}, constants={"restarts.FIRST_PAUSE_S": 100.0})  # at most 30 s
    launched.until("restarted")
    assert status(launched.run).state == "restarting"
    if by == "cancel":
        assert cancel(launched.run, timeout_s=300)
    elif by == "file":
        launched.run.stop_request.touch()
    else:
        launched.process.send_signal(getattr(signal, by))
    exit_code, output = launched.wait()
    is_preempted = by in ("SIGTERM", "file")
    assert exit_code == (75 if is_preempted else 130), output
    assert status(launched.run).state == ("preempted" if is_preempted else "cancelled")
    assert [record["saved"] for record in told(launched.run, "preempted")] == [False] * is_preempted
    assert len(told(launched.run, "attempt_launched")) == 1
    assert not launched.run.stop_request.exists()
