"""The program of a rank that evaluates: what it leaves in the run folder, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests import mixed_images
from tests.run_events import lines_of

from yoloscale.config.freeze import freeze
from yoloscale.config.schema import DataConfig, Device, Task
from yoloscale.config.schema.val import ValConfig
from yoloscale.exit_codes import BAD_CONFIG, FINISHED, STOPPED
from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory

SOURCE = Path(__file__).parents[3] / "src"
IMAGES = 21  # a batch and five
WAIT_S = 600  # bounds a hang


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mixed_images.render(tmp_path_factory.mktemp("mixed") / "data", train=1, val=IMAGES)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model that has learnt nothing, in a folder whose name has a quote."""
    import torch
    from ultralytics import YOLO

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("it's") / "random.pt"
    YOLO("yolo26n.yaml", task="detect").save(file)
    return file


def frozen(folder: Path, weights: Path, data: Path, world_size: int, **arguments: Any) -> RunDirectory:
    config = ValConfig(name="val", imgsz=128, conf=0.0001, data=DataConfig("mixed", str(data)), **arguments)
    config.model.weights, config.model.task = str(weights), config.model.task or Task.detect
    config.cluster.procs_per_node, config.cluster.device = world_size, Device.cpu
    config.cluster.threads, config.cluster.backend = 1, "gloo"
    folder.mkdir()
    freeze(config, folder / "config.yaml")
    return RunDirectory(folder)


def work(run: RunDirectory, world_size: int) -> subprocess.CompletedProcess[str]:
    """By hand, as the README says; one rank without torchrun, so that its exit code is to be seen."""
    torchrun = ["-m", "torch.distributed.run", f"--nproc-per-node={world_size}", "--standalone"]
    words = [sys.executable, *(torchrun if world_size > 1 else []), "-m", "yoloscale.worker", str(run.path)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False)


def test_21_images_on_two_ranks_are_21_images(tmp_path: Path, weights: Path, data: Path) -> None:
    run = frozen(tmp_path / "run", weights, data, 2, save_json=True)
    done = work(run, 2)
    assert done.returncode == FINISHED, done.stderr
    result = json.loads(run.result.read_text())
    assert result["images"] == IMAGES
    assert set(result["metrics"]) >= {"metrics/mAP50(B)", "metrics/mAP50-95(B)"}
    assert {row["Class"] for row in result["classes"]} == {"0", "1", "2"}, "the model's names"
    predictions = json.loads((run.path / "predictions.json").read_text())
    numbers = [int(Path(line["file_name"]).stem) for line in predictions]
    assert sorted(set(numbers)) == list(range(IMAGES))
    assert all((run.path / f"val_batch{number}_pred.jpg").exists() for number in (0, 1)), "whoever had the batch"
    assert (run.path / "confusion_matrix.png").exists()
    events = lines_of(run)
    kinds = [event["event"] for event in events]
    assert kinds.index("evaluation_started") < kinds.index("evaluated") < kinds.index("finished")
    assert next(event for event in events if event["event"] == "evaluation_started")["images"] == IMAGES


@pytest.mark.long
def test_a_stop_request_ends_it_with_75(tmp_path: Path, weights: Path, data: Path) -> None:
    run = frozen(tmp_path / "run", weights, data, 1, batch=2, plots=False)
    run.stop_request.touch()
    done = work(run, 1)
    assert done.returncode == STOPPED, done.stderr
    assert not run.result.exists()
    assert not run.stop_request.exists(), "it has been honoured"
    preempted = [event for event in lines_of(run) if event["event"] == "preempted"]
    assert [(event["signal"], event["saved"]) for event in preempted] == [("STOP", False)]
    again = work(run, 1)
    assert again.returncode == FINISHED, again.stderr
    progress = [line for line in jsonl.read(run.metrics) if line["kind"] == "progress"]
    assert progress[0]["images"] == IMAGES
    assert 0 < progress[0]["images_done"] < IMAGES


@pytest.mark.long
def test_a_model_for_another_task_is_refused(tmp_path: Path, weights: Path, data: Path) -> None:
    run = frozen(tmp_path / "run", weights, data, 1)
    text = run.config.read_text()
    assert "task: detect" in text
    run.config.write_text(text.replace("task: detect", "task: segment"))
    done = work(run, 1)
    assert done.returncode == BAD_CONFIG
    assert "detect" in done.stderr
