"""A search as a person runs it: two launchers at once, hopeless points ended early, the best one trained again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from yoloscale.backends.status import status
from yoloscale.config.freeze import load
from yoloscale.runs import events, jsonl
from yoloscale.runs.status import read_result
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.study import study as studies

from .conftest import Commands

IMAGES = ("data.shapes.train_images=128", "data.shapes.val_images=32", "data.shapes.image_size=64", "imgsz=32")
SAME = ("batch=16", "nbs=16", "optimizer=AdamW", "momentum=0.9", "warmup_epochs=0", "erasing=0", "auto_augment=null")
ONE_RANK = ("device=cpu", "cluster.procs_per_node=1", "cluster.threads=1", "workers=0", "plots=false")
FIXED = (*IMAGES, *SAME, *ONE_RANK)


@pytest.mark.long
def test_two_launchers_search_together_and_the_best_point_trains_again(yoloscale: Commands, tmp_path: Path) -> None:
    # something that has been learned, which a rate that is too high destroys
    yoloscale.train("start", "model=yolo26n-cls.yaml", "epochs=12", "lr0=0.002", *FIXED, ranks=1)
    space = "lr0=tag(log,interval(1e-5,1))"
    search = ("sweep=asha", "sweep.search.trials=12", "sweep.search.startup_trials=2", "sweep.parallel=1")
    typed = ("train", "-m", "name=s", *search, space, "model=runs/start/weights/best.pt", "epochs=3", *FIXED)
    launchers = [yoloscale.start(*typed) for _ in range(2)]
    said = [launcher.communicate(timeout=500)[0] for launcher in launchers]
    assert [launcher.returncode for launcher in launchers] == [0, 0], "\n".join(said)

    sweep = SweepDirectory(tmp_path / "runs" / "s")
    points, runs = sweep.points(), sweep.runs()
    assert [point.name for point in points] == [f"trial-{index:03d}" for index in range(12)]
    assert len({point.overrides for point in points}) == 12
    results = [result for run in runs if (result := read_result(run)) is not None]
    assert len(results) == 12
    assert [events.last_attempt(events.history(run)) for run in runs] == [1] * 12
    assert all(any(f"{run.name}: started" in words for words in said) for run in runs)
    assert sum(words.count(": started") for words in said) == 12

    trials = studies.load(sweep.path / "study.journal").trials
    states = {trial.user_attrs["point"]: trial.state.name for trial in trials}
    pruned = {run.name for run, result in zip(runs, results, strict=True) if result.get("pruned")}
    assert pruned
    assert states == {run.name: "PRUNED" if run.name in pruned else "COMPLETE" for run in runs}
    for run, result in zip(runs, results, strict=True):
        evaluations = [line["epoch"] for line in jsonl.read(run.metrics) if line["kind"] == "eval"]
        assert evaluations == [*range(1, result["epochs"] + 1)]
        assert (result["epochs"] < 3) == (run.name in pruned)
        assert status(run).phase == (f"pruned after epoch {result['epochs']}" if run.name in pruned else "")

    reported = yoloscale.start("report", "s", "--no-pictures")
    assert reported.wait(900) == 0, reported.communicate()[0]
    again = yoloscale.start("train", "--config-dir", "runs/s", "experiment=best", "name=again", *ONE_RANK)
    words, _ = again.communicate(timeout=900)
    assert again.returncode == 0, words
    whole = [run for run in runs if run.name not in pruned]
    best = max(whole, key=lambda run: json.loads(run.result.read_text())["fitness"])
    wanted, found = read_result(best), read_result(yoloscale.run_of("again"))
    assert wanted is not None
    assert found is not None
    assert found["metrics"] == wanted["metrics"]
    assert load(yoloscale.run_of("again").config).lr0 == load(best.config).lr0
