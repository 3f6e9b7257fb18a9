"""How far a run has come that predicts or evaluates: from its events, and lines that ranks write each for itself."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from yoloscale.backends.status import status
from yoloscale.cli.runs import progress as shown_progress
from yoloscale.cli.runs import row
from yoloscale.cli.show.event_lines import EventLines
from yoloscale.cli.status import lines
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.images import Images
from yoloscale.runs.progress import Progress

HERE = socket.gethostname()


def line(rank: int, time: float, done: int, pace: float = 10.0, host: str = "a") -> dict[str, Any]:
    own = {"rank": rank, "host": host, "pid": 100 + rank, "images_done": done, "images_per_s": pace}
    return {"kind": "progress", "step": done // 10, "time": time, "images": 100, **own}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory(tmp_path / "x")
    made.path.mkdir()
    made.config.write_text("kind: predict\nconf: 0.25\n")
    events.append(made, events.AttemptLaunched(attempt=1, host=HERE, pid=os.getpid(), argv=[]))
    mine = events.Process(0, HERE, os.getpid(), "cpu", 1)
    events.append(made, events.AttemptStarted(attempt=1, world_size=1, processes=(mine,)))
    return made


def started(attempt: int = 1, done: int = 0) -> events.PredictionStarted:
    return events.PredictionStarted(attempt=attempt, images=100, images_done=done, units=10, units_done=done // 10)


def test_the_line_that_tells_of_most_images_counts_and_paces_add_up() -> None:
    images = Images()
    images.begin(100, 20)
    assert images.per_s is None
    for record in (line(0, 10.0, 40), line(1, 11.0, 30, 5.0), line(0, 12.0, 60, 8.0), line(0, 12.5, 50, 2.0, "b")):
        images.take(record)
    assert (images.done, images.total, images.fraction) == (60, 100, 0.6)
    assert images.per_s == 15.0
    assert images.left_s(8.0) == pytest.approx(8.0), "40 images in 8 s, and 40 are left"
    images.take(line(1, 500.0, 70, 5.0))
    assert images.per_s == 5.0, "the others have said nothing for long"


def test_an_evaluation_that_is_started_again_begins_from_its_first_image() -> None:
    progress = Progress()
    progress.take([events.AttemptLaunched(attempt=1, host="a", pid=1, time=0.0)], [])
    progress.on_event(events.EvaluationStarted(attempt=1, images=100))
    progress.on_metric(line(0, 10.0, 60))
    progress.on_event(events.EvaluationStarted(attempt=2, images=100))
    assert progress.images is not None
    assert (progress.images.done, progress.images.left_s(5.0)) == (0, None)


def test_nothing_is_lost_of_what_an_earlier_attempt_has_done() -> None:
    progress = Progress()
    progress.take([events.AttemptLaunched(attempt=1, host="a", pid=1, time=0.0)], [])
    progress.on_event(started())
    progress.on_metric(line(0, 5.0, 60))
    progress.on_event(events.AttemptLaunched(attempt=2, host="a", pid=2, time=9.0))
    assert not progress.is_training
    assert progress.images is not None
    assert (progress.images.done, progress.kind, progress.step) == (60, "predict", 6)
    progress.on_event(started(2, 60))
    assert progress.is_training
    assert progress.images.left_s(5.0) is None, "this attempt has no pace yet"


def test_state_and_table_of_a_prediction_that_goes_on(run: RunDirectory) -> None:
    events.append(run, started())
    with run.metrics.open("a") as file:
        file.write(json.dumps(line(0, events.history(run)[-1].time + 2.0, 40)) + "\n")
    now = status(run)
    assert (now.kind, now.state, now.images, now.images_done) == ("predict", "running", 100, 40)
    assert now.images_per_s == 10.0
    assert shown_progress(now) == "40/100 images"
    assert "40/100 images" in row(now, 0.0)
    assert "done     40/100 images" in lines(run, now)
    run.result.write_text(json.dumps({"metrics": {}, "images": 100, "unreadable": 1, "images_per_s": 9.0}))
    now = status(run)
    assert (now.state, now.images_done) == ("finished", 100)
    assert any(text.startswith("failures ") for text in lines(run, now))


def test_a_rank_that_came_late_is_among_the_processes_and_fails_alone(run: RunDirectory) -> None:
    events.append(run, started())
    events.append(run, events.Joined(attempt=1, rank=1, host="b", pid=7, device="cuda:0", cpus=4))
    events.append(run, events.Failed(attempt=1, rank=1, host="b", error="killed", collateral=False))
    now = status(run)
    assert now.where == f"{HERE}: 1 × cpu, b: 1 × cuda"
    assert (now.state, now.error) == ("running", None)
    events.append(run, events.Failed(attempt=1, rank=0, host=HERE, error="teapot", collateral=False))
    events.append(run, events.Exited(attempt=1, exit_code=1))
    assert status(run).error == f"rank 0 on {HERE}: teapot"


def test_the_account_of_a_prediction() -> None:
    told = EventLines()
    mine = events.Process(0, "a", 1, "cpu", 1)
    told.event_lines(events.AttemptLaunched(attempt=1, host="a", pid=1))
    told.event_lines(events.AttemptStarted(attempt=1, world_size=1, processes=(mine,)))
    assert told.event_lines(started(1, 30)) == ["predicting: 100 images in 10 units, 30 of them done before"]
    late = events.Joined(attempt=1, rank=1, host="b", pid=2, device="cpu", cpus=1)
    assert told.event_lines(late) == ["rank 1 on b takes part, too"]
    stop = events.Preempted(attempt=1, step=4, epoch=0, signal="SIGTERM", outcome="preempted")
    assert told.event_lines(stop) == ["stopped on request (SIGTERM)"]
    restart = {"cause": "x", "rank": 0, "host": "a", "exit_code": 1, "restarts": 1, "max_restarts": 3}
    (said,) = told.event_lines(events.Restarted(attempt=2, step=4, **restart))
    assert said == "restarting from its 4 parts (1 of 3 without progress)"
    requeued = events.Requeued(job="7", by="slurm", step=4, cause="the time limit")
    assert told.event_lines(requeued) == ["job 7 is requeued (the time limit), to go on from its 4 parts"]
    assert told.event_lines(events.Finished(epochs=0, steps=10, images=100)) == ["finished: 100 images"]


def test_an_evaluation_counts_its_images(run: RunDirectory) -> None:
    run.config.write_text("kind: val\n")
    events.append(run, events.EvaluationStarted(attempt=1, images=100, plan="batches of 16"))
    now = status(run)
    assert (now.kind, now.images, now.images_done) == ("val", 100, 0)
    assert EventLines().event_lines(events.history(run)[-1]) == ["evaluating: 100 images, batches of 16"]
