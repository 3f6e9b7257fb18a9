"""States, from events as ranks and launchers write them, and from processes that really live or really died."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of, write_event

from yoloscale.backends.status import status
from yoloscale.cli.runs import row
from yoloscale.cli.status import lines
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.status import LOST, read_progress

HERE = socket.gethostname()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory(tmp_path / "a run")
    made.path.mkdir()
    made.config.write_text("{}")
    return made


def launched(run: RunDirectory, pid: int, attempt: int = 1, host: str = HERE) -> None:
    events.append(run, events.AttemptLaunched(attempt=attempt, host=host, pid=pid, argv=[]))


def training(run: RunDirectory, attempt: int = 1, **fields: Any) -> None:
    processes = [{"rank": rank, "host": HERE, "pid": os.getpid(), "device": "cuda:0"} for rank in range(2)]
    events.append(run, events.AttemptStarted(attempt=attempt, world_size=2, processes=processes))
    told = {"epochs": 10, "steps_per_epoch": 4, "epoch": 1, "step": 0, "images": 64, **fields}
    write_event(run, "training_started", attempt=attempt, **told)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_that_was_never_started_is_pending(run: RunDirectory) -> None:
    assert status(run).state == "pending"


def test_from_launch_to_training(run: RunDirectory) -> None:
    launched(run, os.getpid())
    assert (status(run).state, status(run).phase) == ("pending", "starting")
    events.append(run, events.Setup(attempt=1, phase="data"))
    assert status(run).phase == "data"
    training(run)
    found = status(run)
    assert (found.state, found.phase) == ("running", "")
    assert found.where == f"{HERE}: 2 × cuda"


def test_a_launcher_that_died_without_a_word_is_no_running_run(run: RunDirectory) -> None:
    launched(run, dead_pid())
    training(run)
    assert status(run).state == "failed"
    assert status(run).error == LOST


def test_a_pid_that_was_given_to_another_process_is_not_the_launcher(run: RunDirectory) -> None:
    long_ago = time.time() - 365 * 86400
    line = {"event": "attempt_launched", "time": long_ago, "attempt": 1, "host": HERE, "pid": os.getpid()}
    run.old_events.write_text(json.dumps(line) + "\n")
    assert status(run).state == "failed"


def test_a_launcher_on_another_host_is_believed(run: RunDirectory) -> None:
    launched(run, dead_pid(), host="another-host")
    training(run)
    assert status(run).state == "running"


@pytest.mark.parametrize(
    ("exit_code", "state"),
    [(0, "finished"), (1, "failed"), (2, "failed"), (75, "preempted"), (130, "cancelled")],
)
def test_an_attempt_that_has_exited(run: RunDirectory, exit_code: int, state: str) -> None:
    launched(run, os.getpid())
    if exit_code == 0:
        events.append(run, events.Finished(epochs=10, steps=40))
    events.append(run, events.Exited(attempt=1, exit_code=exit_code))
    assert status(run).state == state


def test_the_second_attempt_is_restarting_until_it_trains(run: RunDirectory) -> None:
    launched(run, dead_pid())
    training(run)
    write_event(run, "failed", attempt=1, rank=1, host=HERE, error="out of memory")
    events.append(run, events.Exited(attempt=1, exit_code=1))
    assert status(run).error == f"rank 1 on {HERE}: out of memory"
    launched(run, os.getpid(), attempt=2)
    assert (status(run).state, status(run).attempt) == ("restarting", 2)
    training(run, attempt=2, epoch=4)
    found = status(run)
    assert (found.state, found.epoch, found.error) == ("running", 4, None)


def test_progress_speed_and_time_left(run: RunDirectory) -> None:
    launched(run, os.getpid())
    training(run)
    started = lines_of(run)[-1]["time"]
    lines = [
        {"kind": "step", "step": 4, "epoch": 1, "epoch_step": 4, "images_per_s": 20.0, "train/box_loss": 2.0},
        {"kind": "epoch", "step": 4, "epoch": 1},
        {"kind": "eval", "step": 4, "epoch": 1, "metrics/mAP50(B)": 0.5, "metrics/mAP50-95(B)": 0.25},
        {"kind": "step", "step": 6, "epoch": 2, "epoch_step": 2, "images_per_s": 32.0},
    ]
    run.metrics.write_text("".join(json.dumps({"time": started + 30, **line}) + "\n" for line in lines))
    found = status(run)
    assert (found.epoch, found.epochs, found.step, found.images_per_s) == (2, 10, 6, 32.0)
    assert (found.metric_name, found.metric) == ("metrics/mAP50-95(B)", 0.25)
    from yoloscale.runs.status import read_progress

    progress = read_progress(run)
    assert progress.fraction == pytest.approx(0.15)
    assert progress.eta_s(now=progress.started_at + 30) == pytest.approx(30 / 0.15 * 0.85)


def test_time_left_after_a_resume_counts_this_attempt_only(run: RunDirectory) -> None:
    launched(run, os.getpid())
    training(run, epoch=6)
    step = {"kind": "step", "step": 24, "epoch": 6, "epoch_step": 4, "time": time.time() + 1}
    run.metrics.write_text(json.dumps(step) + "\n")
    from yoloscale.runs.status import read_progress

    progress = read_progress(run)
    assert progress.eta_s(now=progress.started_at + 10) == pytest.approx(40.0)


def test_a_run_that_ends_by_its_time_has_the_progress_of_its_time(run: RunDirectory) -> None:
    launched(run, os.getpid())
    training(run, epochs=0, hours=0.5, clock_s=0.0)
    began = time.time()
    step = {"kind": "step", "step": 2, "epoch": 1, "epoch_step": 2, "time": began + 90}
    run.metrics.write_text(json.dumps(step) + "\n")
    first = read_progress(run)
    assert (first.epochs, first.hours) == (0, 0.5), "how many fit is not known yet"
    assert first.fraction == pytest.approx(90 / 1800, abs=0.01)
    assert first.eta_s(now=began + 90) == pytest.approx(1710, abs=5)
    assert first.eta_s(now=began + 9000) == 0
    assert "epoch    1, until 0.5 hours are over" in lines(run, status(run))
    epoch = {"kind": "epoch", "step": 4, "epoch": 1, "epochs": 12, "time": began + 150}
    run.metrics.write_text(json.dumps(step) + "\n" + json.dumps(epoch) + "\n")
    found = status(run)
    assert (found.epoch, found.epochs, found.hours) == (1, 12, 0.5)
    assert "epoch    1 of 12, until 0.5 hours are over" in lines(run, found)
    assert row(found, began)[2] == "1/12"


def test_the_time_of_a_run_counts_over_its_starts(run: RunDirectory) -> None:
    launched(run, os.getpid())
    training(run, epoch=4, epochs=8, hours=1.0, clock_s=900.0)
    progress = read_progress(run)
    assert progress.started_at is not None
    assert progress.fraction == pytest.approx(0.25)
    assert progress.eta_s(now=progress.started_at + 600) == pytest.approx(2100)


def test_the_result_is_what_counts_in_the_end(run: RunDirectory) -> None:
    launched(run, dead_pid())
    events.append(run, events.Finished(epochs=10, steps=40))
    result = {"metrics": {"metrics/mAP50-95(B)": 0.6}, "epochs": 10, "images_per_s": 99.0}
    run.result.write_text(json.dumps(result))
    found = status(run)
    assert (found.state, found.epoch, found.metric, found.images_per_s) == ("finished", 10, 0.6, 99.0)
    json.dumps(found.as_json())


def test_what_an_earlier_attempt_measured_is_not_the_progress_of_this_one(run: RunDirectory) -> None:
    launched(run, dead_pid())
    training(run)
    step = {"kind": "step", "step": 30, "epoch": 8, "epoch_step": 2, "images_per_s": 20.0, "time": time.time()}
    run.metrics.write_text(json.dumps(step) + "\n")
    time.sleep(0.01)
    launched(run, os.getpid(), attempt=2)
    training(run, attempt=2, epoch=6, step=20)
    found = status(run)
    assert (found.epoch, found.step, found.images_per_s, found.eta_s) == (6, 20, None, None)
    assert found.updated_at == lines_of(run)[-1]["time"]


def test_ranks_started_by_hand_after_a_failure_are_a_running_run(run: RunDirectory) -> None:
    launched(run, dead_pid())
    training(run)
    write_event(run, "failed", attempt=1, rank=1, host=HERE, error="out of memory")
    events.append(run, events.Exited(attempt=1, exit_code=1))
    training(run)
    assert (status(run).state, status(run).error) == ("running", None)


def test_a_run_killed_right_after_its_result_is_finished(run: RunDirectory) -> None:
    launched(run, dead_pid())
    training(run)
    run.result.write_text(json.dumps({"metrics": {}, "epochs": 10}))
    assert status(run).state == "finished"


def test_where_the_time_went(run: RunDirectory) -> None:
    assert status(run).time_s is None
    now = time.time()
    lines = [
        {"event": "attempt_launched", "time": now - 100, "attempt": 1, "host": HERE, "pid": dead_pid()},
        {"event": "training_started", "time": now - 90, "attempt": 1, "step": 0},
        {"event": "checkpoint_saved", "time": now - 49, "step": 20, "taken": now - 50, "blocked_s": 0.5},
    ]
    run.old_events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run.metrics.write_text(json.dumps({"kind": "step", "time": now - 40, "step": 23}) + "\n")
    dead = status(run)
    assert dead.time_s is not None
    assert dead.time_s["total"] == pytest.approx(60, abs=0.01)
    assert dead.time_s["lost"] == pytest.approx(10, abs=0.01)
    launched(run, os.getpid(), attempt=2)
    training(run, attempt=2, step=20)
    going_on = status(run)
    assert going_on.time_s is not None
    assert going_on.time_s["training"] >= 40 - 0.01
    assert going_on.time_s["down"] == pytest.approx(40, abs=2)
    assert going_on.goodput == pytest.approx(going_on.time_s["training"] / going_on.time_s["total"], abs=1e-3)
    run.result.write_text(json.dumps({"metrics": {}, "time_s": {"training": 5.0, "total": 10.0}, "goodput": 0.5}))
    assert (status(run).time_s, status(run).goodput) == ({"training": 5.0, "total": 10.0}, 0.5)


def test_the_late_word_of_another_node_on_an_earlier_attempt_does_not_count(run: RunDirectory) -> None:
    launched(run, os.getpid())
    launched(run, os.getpid(), attempt=2)
    write_event(run, "preempted", attempt=1, step=3, epoch=1, signal="SIGTERM")
    write_event(run, "failed", attempt=1, rank=1, host="node7", error="lost")
    progress = read_progress(run)
    assert progress.attempt == 2
    assert progress.stopped is None
    assert not progress.failures


def test_the_gpus_of_the_newest_epoch(run: RunDirectory) -> None:
    from yoloscale.cli.status import lines

    launched(run, os.getpid())
    training(run)
    assert status(run).gpus is None
    epoch = {"kind": "epoch", "step": 4, "epoch": 1, "time": time.time(), "gpu/memory_gib": 12.34, "gpu/use": 0.87}
    step = {"kind": "step", "step": 5, "epoch": 2, "epoch_step": 1, "time": time.time() + 1}
    run.metrics.write_text(json.dumps(epoch) + "\n" + json.dumps(step) + "\n")
    found = status(run)
    assert found.gpus == {"gpu/memory_gib": 12.34, "gpu/use": 0.87}
    assert "gpu      12.3 GiB 87 %" in lines(run, found)


def test_what_befalls_ranks_that_came_late_does_not_befall_the_run(run: RunDirectory) -> None:
    """One fails while the others still open the model; the job of another one is requeued."""
    events.append(run, events.AttemptLaunched(attempt=1, host="node1", pid=1, start="40_0.0.0"))
    events.append(run, events.LateLaunched(attempt=1, host="node2", pid=1, ranks=(1, 2), start="40_3.0.0"))
    events.append(run, events.Failed(attempt=1, rank=2, host="node2", error="no room", collateral=False))
    progress = read_progress(run)
    assert (progress.failures, progress.warnings) == ([], ["rank 2 on node2: no room"])
    events.append(run, events.PredictionStarted(attempt=1, images=9, images_done=0, units=3, units_done=0))
    events.append(run, events.Requeued(job="40_3", by="yoloscale", step=1, count=1, cause="preempted"))
    progress = read_progress(run)
    assert (progress.job, progress.queued, progress.is_training) == ("40_0", None, True)
    events.append(run, events.Requeued(job="40_0", by="yoloscale", step=1, count=1, cause="preempted"))
    assert read_progress(run).queued is not None


def test_any_element_of_an_array_may_have_the_run_that_was_submitted(run: RunDirectory) -> None:
    events.append(run, events.Submitted(job="40_0"))
    events.append(run, events.AttemptLaunched(attempt=1, host="node1", pid=1, start="40_2.0.0"))
    progress = read_progress(run)
    assert (progress.job, progress.is_submitted, progress.queued) == ("40_2", True, None)
    events.append(run, events.Submitted(job="40_0"))  # on record only now: it has started before
    assert read_progress(run).queued is None
    events.append(run, events.AttemptLaunched(attempt=2, host="node1", pid=1, start="50.0.0"))
    assert not read_progress(run).is_submitted, "in somebody's allocation"
