"""A tracker whose package is not on a node, or broken there, costs a warning and not the run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from yoloscale.config.schema import LoggerConfig, MlflowConfig, WandbConfig
from yoloscale.track.background import BackgroundTrackers
from yoloscale.track.make import makers
from yoloscale.track.tracker import RunFacts


def test_a_package_that_cannot_be_imported_leaves_its_tracker_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings = list[str]()
    for module in ("wandb_run", "tensorboard", "mlflow_run"):
        monkeypatch.setitem(sys.modules, f"yoloscale.track.{module}", None)
    made = makers(LoggerConfig(True, WandbConfig(), MlflowConfig()), RunFacts(tmp_path, "a", "id", {}))
    trackers = BackgroundTrackers(made, tmp_path / "tracked.json", warnings.append)
    trackers.log({"train/loss": 1.0}, 1, epoch=1, is_epoch=False)
    trackers.close(0, 30)
    assert [line.partition(" is ")[0] for line in warnings] == ["W&B", "TensorBoard", "MLflow"]
    assert "pip install 'yoloscale[mlflow]'" in warnings[2]
    assert not (tmp_path / "tracked.json").exists(), "nobody was told: a later start tells all"
