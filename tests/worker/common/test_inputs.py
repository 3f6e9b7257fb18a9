"""Weights and packages that have changed since a run was made: no rank goes on with others."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.finished_weights import write_weights

from yoloscale.config.schema import DataConfig, ModelConfig, PredictConfig, Task, ValConfig
from yoloscale.config.schema.run import EvaluationOrigin, InferenceOrigin
from yoloscale.distributed.environment import Ranks
from yoloscale.errors import ConfigError
from yoloscale.predictions import model
from yoloscale.predictions.model import Model
from yoloscale.runs.directory import RunDirectory
from yoloscale.system import installed
from yoloscale.system.files import sha256_of
from yoloscale.worker.common.inputs import own_versions, refuse_other_weights


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_weights(tmp_path / "mine.pt")


def prediction(path: Path, **origin: object) -> PredictConfig:
    config = PredictConfig(name="x", imgsz=64, model=ModelConfig(task=Task.detect, weights=str(path)))
    config.origin = InferenceOrigin(folder=str(path.parent), **origin)  # type: ignore[arg-type]
    return config


def test_weights_are_those_of_the_first_start(weights: Path) -> None:
    config = prediction(weights, weights=sha256_of(weights))
    refuse_other_weights(config, weights)
    refuse_other_weights(prediction(weights), weights)  # of a run by hand, nothing is known of them
    write_weights(weights, comment="trained on")
    with pytest.raises(ConfigError, match="holds other weights than when run 'x' was started"):
        refuse_other_weights(config, weights)


def test_a_rank_that_predicts_opens_no_others(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from yoloscale.worker.predict import model as program

    monkeypatch.setattr(program, "Predictor", lambda *_: pytest.fail("it is opened"))
    with pytest.raises(ConfigError, match="holds other weights"):
        program.open_predictor(prediction(weights, weights="0" * 64), torch.device("cpu"))


def test_a_rank_that_evaluates_opens_no_others(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from yoloscale.worker.val import val as program

    monkeypatch.setattr(program, "ModelEvaluation", lambda *_, **__: pytest.fail("it is opened"))
    config = ValConfig(name="x", data=DataConfig("coco8", "coco8.yaml"))
    config.model = ModelConfig(task=Task.detect, weights=str(weights))
    for origin in (EvaluationOrigin(weights="0" * 64), EvaluationOrigin(versions={"torch": "0.1"})):
        config.origin = origin
        with pytest.raises(ConfigError, match=r"holds other weights|pip install torch==0\.1"):
            program._open(config, RunDirectory(tmp_path), Ranks(), 1, torch.device("cpu"))


def test_versions_are_those_that_are_frozen(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "version", lambda package: "2.0+cpu")
    assert own_versions(prediction(weights), weights)["torch"] == "2.0"
    assert own_versions(prediction(weights, versions={"torch": "2.0"}), weights)["numpy"] == "2.0"
    with pytest.raises(ConfigError, match=r"torch 2\.0, and the run began with 2\.1"):
        own_versions(prediction(weights, versions={"torch": "2.1"}), weights)


def test_where_none_are_frozen_the_first_rank_puts_its_own_down(tmp_path: Path) -> None:
    from yoloscale.worker.predict.predict import _keep

    run = RunDirectory(tmp_path)
    first = Model(Task.detect, {0: "thing"}, (64, 64), versions={"torch": "2.0"})
    _keep(run, first)
    _keep(run, first)
    assert model.read(run.path).versions == {"torch": "2.0"}
    with pytest.raises(ConfigError, match=r"pip install torch==2\.0"):
        _keep(run, Model(Task.detect, {0: "thing"}, (64, 64), versions={"torch": "2.1"}))
