"""Under which ids a run is known, what is worth an alert, and what a finished run hands over."""

from __future__ import annotations

import json
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.run_events import lines_of, write_event

from yoloscale.checkpoint.state import Progress
from yoloscale.config.schema import Config
from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import Event, parse
from yoloscale.runs.sweep_directory import SweepDirectory, SweepRecord, write
from yoloscale.track.background import BackgroundTrackers
from yoloscale.track.tracker import Tracker
from yoloscale.worker.train import tracking, upload
from yoloscale.worker.train.tracking import close_failed, why_restarted
from yoloscale.worker.train.upload import models, pictures, publish

AGENT = {"WANDB_RUN_ID": "agents", "WANDB_SWEEP_ID": "s", "WANDB_PROJECT": "p"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    for name in (*AGENT, "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    run = RunDirectory(tmp_path / "sweep" / "a")
    run.job.mkdir(parents=True)
    return run


def identity(run: RunDirectory, progress: Progress | None = None) -> dict[str, str]:
    return tracking._identity(run, progress or Progress())


def test_the_id_is_the_same_at_every_start_and_in_a_copy_of_the_run(run: RunDirectory) -> None:
    write_event(run, "attempt_launched", attempt=1)
    first = identity(run)
    assert len(first["wandb"]) == 12
    assert identity(run) == first
    (run.job / "trackers.json").unlink()
    assert identity(run) == first, "from the name and the first event"
    assert identity(run, Progress(tracker={"wandb": "kept"})) == {"wandb": "kept"}, "the checkpoint's counts"


def test_a_run_of_wandbs_agent_keeps_what_ties_it_to_its_sweep(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for name, value in AGENT.items():
            patch.setenv(name, value)
        first = identity(run)
    assert first == {"wandb": "agents", "WANDB_SWEEP_ID": "s", "WANDB_PROJECT": "p"}
    assert identity(run) == first, "also where the variables are not"


def test_no_point_of_a_sweep_of_ours_takes_an_id_from_the_environment(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(SweepDirectory(run.path.parent), SweepRecord((), ()))
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_RUN_ID", "of all of them")
        assert identity(run)["wandb"] != "of all of them"


def event(name: str, **fields: Any) -> Event:
    return parse({"event": name, "time": 1.0, **fields})


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([], "the one before was killed"),
        ([event("preempted")], None),
        ([event("failed", rank=0, host="h", error="E: x", collateral=False, traceback="…")], None),
        ([event("failed", rank=0, host="h", error="was killed by SIGKILL")], "rank 0 on h: was killed by SIGKILL"),
        ([event("failed", rank=1, host="h", error="E: x", collateral=False, traceback="…")], "rank 1 on h: E: x"),
        ([event("failed", rank=2, host="h", error="gone", collateral=True)], "the one before was killed"),
    ],
)
def test_a_start_after_one_that_could_not_speak_speaks_for_it(before: list[Event], expected: str | None) -> None:
    history = [event("attempt_started", attempt=1), *before, event("attempt_started", attempt=2)]
    assert why_restarted(history, 2) == expected


def test_a_failure_is_an_alert_and_ends_the_trackers(run: RunDirectory) -> None:
    told: list[Any] = []

    class Fake(Tracker):
        def alert(self, title: str, text: str) -> None:
            told.append((title, text))

        def close(self, exit_code: int) -> None:
            told.append(exit_code)

    trackers = BackgroundTrackers({"fake": Fake}, run.job / "tracked.json", print)
    close_failed(trackers, run, ValueError("bad loss"))
    assert told == [("a: failed", "ValueError: bad loss"), 1]


def test_models_are_made_for_a_tracker_that_takes_them(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    used: list[str] = []

    class Fake(Tracker):
        def uses(self, name: str, digest: str, metadata: Any) -> None:
            used.append(digest)

    class Taker(Fake):
        takes_models = True

    made: list[Any] = [{"name": "coco8", "digest": "x"}]  # digests take time: once for all, and only where wanted
    data = cached_property(lambda models: made.pop())
    data.__set_name__(upload._Models, "_data")
    monkeypatch.setattr(upload._Models, "_data", data)
    observer: Any = SimpleNamespace(tell=told.append)
    parts: Any = None
    publish(Config(), run, parts, observer, {"steps": 1, "epochs": 1, "metrics": {}})
    for trackers, expected in (([Fake()], []), ([Taker(), Fake(), Taker()], ["x", "x"])):
        for tell in told:
            for tracker in trackers:
                tell(tracker)
        assert used == expected


def test_no_login_of_a_server_that_is_down_is_put_on_record(run: RunDirectory, capfd: Any) -> None:
    def refuse() -> Tracker:
        raise ConnectionError("API request to http://me:hunter2@mlflow:5000/api failed")

    trackers = BackgroundTrackers({"MLflow": refuse}, run.job / "tracked.json", partial(tracking._warn, run))
    trackers.close(0, 10)
    (warning,) = lines_of(run)
    assert "http://***@mlflow:5000/api failed" in warning["message"]
    assert "hunter2" not in capfd.readouterr().out


def test_last_then_best_with_the_epochs_they_are_of(run: RunDirectory) -> None:
    run.weights.mkdir()
    for name in ("best.pt", "last.pt"):
        (run.weights / name).write_text(name)
    for epoch, fitness in enumerate((0.0, 0.0, 0.3, 0.3), start=1):
        jsonl.append(run.metrics, {"kind": "eval", "epoch": epoch, "fitness": fitness, "metrics/mAP50(B)": fitness})
    last, best = models(run, {"epochs": 4}, {"dataset": {"digest": "x"}})
    assert (last.path.name, last.aliases) == ("last.pt", ("last", "epoch-4"))
    assert (best.path.name, best.aliases) == ("best.pt", ("best", "epoch-3"))
    assert best.metadata["metrics"] == {"fitness": 0.3, "metrics/mAP50(B)": 0.3}
    assert best.metadata["dataset"] == {"digest": "x"}
    assert len({last.metadata["sha256"], best.metadata["sha256"]}) == 2
    run.metrics.write_text(json.dumps({"kind": "eval", "epoch": 1, "fitness": 0.0}) + "\n")
    jsonl.append(run.metrics, {"kind": "eval", "epoch": 2, "fitness": 0.0})
    assert models(run, {"epochs": 2}, {})[1].aliases == ("best", "epoch-2"), "as long as nothing fits, the latest"


def test_pictures_are_named_for_people(tmp_path: Path) -> None:
    for name in ("results.png", "val_batch0_pred.jpg", "BoxPR_curve.png", "confusion_matrix.png", "other.png"):
        (tmp_path / name).touch()
    assert list(pictures(tmp_path)) == [
        "predictions/val_batch0_pred",
        "plots/results",
        "plots/confusion_matrix",
        "plots/BoxPR_curve",
    ]
