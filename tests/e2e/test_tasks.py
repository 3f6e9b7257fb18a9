"""Every task trains two epochs with two ranks and leaves what the run directory promises."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PAIRS = [("detect", "segment"), ("pose", "obb"), ("classify", "semantic"), ("depth", "rtdetr")]  # side by side


def assert_complete(done: Any, folder: str) -> None:
    """The files of the contract, whole, consistent with each other, and without a path of the run itself."""
    run = done.run
    for path in (run.config, run.overrides, run.metrics, run.events, run.result, run.best_weights):
        assert path.stat().st_size > 0, path
    assert (run.weights / "last.pt").exists()
    assert [path.name for path in sorted(run.checkpoints.iterdir())] == ["step-000000004", "step-000000008"]
    assert {path.name for path in run.attempt_logs(1).iterdir()} >= {"rank-0.log", "rank-1.log"}
    assert not [path for path in run.path.rglob("*") if path.name.endswith((".writing", ".part"))]
    for path in (run.path / "args.yaml", run.result, run.metrics):
        assert folder not in path.read_text(), f"{path} holds the path of the run"
    frozen = yaml.safe_load(run.config.read_text())
    assert frozen.pop("origin")["folder"] == folder, "typed there; relative paths in a dataset's YAML refer to it"
    assert folder not in json.dumps(frozen), "config.yaml holds the path of the run"
    assert_metrics(done)


def assert_metrics(done: Any) -> None:
    result = json.loads(done.run.result.read_text())
    assert (result["epochs"], result["steps"], result["weights"]) == (2, 8, "weights/best.pt")
    assert result["images_per_s"] > 0
    assert 0 < result["goodput"] <= 1
    assert sum(result["time_s"].values()) == pytest.approx(2 * result["time_s"]["total"], abs=0.01)
    assert (result["attempts"], result["restarts"], result["time_s"]["lost"]) == (1, 0, 0)
    assert result["fitness"] is not None
    kinds = [line["kind"] for line in done.metrics]
    assert (kinds.count("epoch"), kinds.count("eval")) == (2, 2)
    assert kinds[0] == "step"
    for line in done.metrics:
        assert {"step", "epoch", "time"} <= line.keys()
        assert any(key.startswith({"step": "train/", "epoch": "train/", "eval": "val/"}[line["kind"]]) for key in line)
    evaluated = [line for line in done.metrics if line["kind"] == "eval"]
    assert result["metrics"].keys() <= evaluated[-1].keys()
    with (done.run.path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row, line in zip(rows, evaluated, strict=True):
        for name in result["metrics"]:
            if name.startswith("metrics/"):
                assert float(row[name]) == pytest.approx(line[name], rel=1e-4, abs=1e-6)
    assert yaml.safe_load((done.run.path / "args.yaml").read_text())["epochs"] == 2


def assert_loads(done: Any) -> None:
    """The published weights are plain Ultralytics weights."""
    from ultralytics import RTDETR, YOLO

    rtdetr = "rtdetr" in str(yaml.safe_load(done.run.config.read_text())["model"]["architecture"])
    model = (RTDETR if rtdetr else YOLO)(str(done.run.best_weights))
    import numpy as np

    results = model.predict(np.zeros((96, 96, 3), np.uint8), imgsz=96, verbose=False, device="cpu")
    assert len(results) == 1


@pytest.mark.long
@pytest.mark.parametrize("tasks", PAIRS, ids="-".join)
def test_two_epochs_with_two_ranks(
    yoloscale: Any, model_of: Callable[[str], str], tmp_path: Path, tasks: tuple[str, str]
) -> None:
    runs = {task: (2, ("epochs=2", "batch=16", "nbs=16", model_of(task))) for task in tasks}
    for done in yoloscale.train_together(runs):
        assert_complete(done, str(tmp_path))
        assert_loads(done)
        started = done.events("attempt_started")[0]
        assert [process["rank"] for process in started["processes"]] == [0, 1]
        assert done.events("training_started")[0]["plan"] == "global 16 = 2 ranks × 8, accumulate 1"
        assert len(done.events("finished")) == 1
