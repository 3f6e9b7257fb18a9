"""A run's folder is removed while its ranks hold the path, and the name is used again."""

from __future__ import annotations

import json
import shutil
import signal

import psutil
import pytest
import torch
from tests.run_events import lines_of

from yoloscale.checkpoint.compare import differing
from yoloscale.config.freeze import load
from yoloscale.yolo.weights import RUN_ID

from .conftest import Commands

pytestmark = pytest.mark.long

MODEL = "model=yolo26n.yaml"
OLD = (MODEL, "epochs=100", "checkpoint.every_steps=1", "debug.trace=true", "logger=tensorboard", "seed=1")
NEW = (MODEL, "epochs=2", "batch=16", "nbs=16", "debug.trace=true", "logger=tensorboard", "seed=2")


def test_the_new_run_is_what_it_would_have_been_alone(yoloscale: Commands) -> None:
    """The old ranks are told to stop and to save, are frozen, and go on while the new run trains."""
    run = yoloscale.run_of("used again")
    old = yoloscale.start_training(run.name, *OLD)
    yoloscale.until(old, run.name, steps=3)
    launcher = psutil.Process(old.pid)
    processes = [launcher, *launcher.children(recursive=True)]
    ranks = [process for process in processes if "RANK" in process.environ()]
    try:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        for process in ranks:
            process.send_signal(signal.SIGTERM)
        shutil.rmtree(run.path)
        new = yoloscale.start_training(run.name, *NEW)
        yoloscale.until(new, run.name, steps=2)
    finally:
        for process in reversed(processes):  # the launcher last
            process.send_signal(signal.SIGCONT)
    output, _ = old.communicate(timeout=900)
    done = yoloscale.finish(new, run.name, 0, 900)
    psutil.wait_procs(processes, timeout=900)
    assert not any(process.is_running() for process in processes)

    assert old.returncode == 1, output
    said = [line for line in output.splitlines() if "belongs to another run by now" in line]
    assert said[-1].startswith(f"yoloscale: the folder {run.path} "), output

    run_id = load(run.config).id
    assert {event["id"] for event in lines_of(run)} == {run_id}
    assert [event["attempt"] for event in done.events("attempt_launched")] == [1]
    assert done.events("warning") == done.events("preempted") == []
    assert {json.loads(path.read_text())["id"] for path in run.checkpoints.glob("*/manifest.json")} == {run_id}
    assert {path.name.split(".")[0] for path in run.checkpoints.iterdir()} == {"step-000000004", "step-000000008"}
    assert torch.load(run.best_weights, weights_only=False)[RUN_ID] == run_id
    assert len(list((run.path / "tensorboard").iterdir())) == 1
    assert run.lock.read_text() == f"{run_id}\n"
    assert json.loads(run.launch_record(1).read_text())["run_id"] == run_id

    alone = yoloscale.train("alone", *NEW)
    assert load(alone.run.config).id != run_id
    assert done.trace == alone.trace
    assert list(differing(done.state(), alone.state())) == []
    models = [torch.load(each.run.best_weights, weights_only=False)["model"] for each in (done, alone)]
    assert list(differing(*(model.state_dict() for model in models))) == []
