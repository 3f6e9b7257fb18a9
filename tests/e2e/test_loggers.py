"""TensorBoard and W&B, written by a real run."""

from __future__ import annotations

import json
from typing import Any

import pytest

RUN = ("batch=16", "nbs=16", "epochs=2")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_tensorboard_and_wandb_without_an_account(yoloscale: Any) -> None:
    given = (*RUN, "logger=wandb", "logger.tensorboard=true")
    runs = {mode: (2, (*given, f"logger.wandb.mode={mode}")) for mode in ("offline", "disabled")}
    for mode, done in zip(runs, yoloscale.train_together(runs), strict=True):
        assert bool(list(done.run.path.glob("wandb/offline-run-*/*.wandb"))) is (mode == "offline")
        assert json.loads(done.run.result.read_text())["epochs"] == 2
        assert_tensorboard_holds_the_metrics(done)


def assert_tensorboard_holds_the_metrics(done: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written = EventAccumulator(str(done.run.path / "tensorboard")).Reload()
    evaluations = [line for line in done.metrics if line["kind"] == "eval"]
    for name in ("fitness", "val/box_loss"):
        points = [(point.step, point.value) for point in written.Scalars(name)]
        assert points == [(line["step"], pytest.approx(line[name], rel=1e-6)) for line in evaluations]
    assert [point.step for point in written.Scalars("train/box_loss")]
