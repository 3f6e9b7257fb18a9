"""TensorBoard and W&B, written by a real run."""

from __future__ import annotations

import json
from typing import Any

import pytest

RUN = ("batch=16", "nbs=16", "epochs=2")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_tensorboard_files_hold_what_metrics_jsonl_holds(yoloscale: Any) -> None:
    done = yoloscale.train("run", *RUN, "logger=tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written = EventAccumulator(str(done.run.path / "tensorboard")).Reload()
    evaluations = [line for line in done.metrics if line["kind"] == "eval"]
    for name in ("fitness", "val/box_loss"):
        points = [(point.step, point.value) for point in written.Scalars(name)]
        assert points == [(line["step"], pytest.approx(line[name], rel=1e-6)) for line in evaluations]
    assert [point.step for point in written.Scalars("train/box_loss")]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("mode", "files"), [("offline", True), ("disabled", False)])
def test_wandb_without_an_account(yoloscale: Any, mode: str, files: bool) -> None:
    done = yoloscale.train("run", *RUN, "logger=wandb", f"logger.wandb.mode={mode}")
    assert bool(list((done.run.path).glob("wandb/offline-run-*/*.wandb"))) is files
    assert json.loads(done.run.result.read_text())["epochs"] == 2
