"""MLflow keeps one run over all starts, also where its parameters, which it never lets change, have changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from yoloscale.config.schema import MlflowConfig
from yoloscale.track.mlflow_run import MlflowTracker
from yoloscale.track.tracker import RunFacts

SET = ("MLFLOW_ALLOW_FILE_STORE", "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES")
SET_BY_MLFLOW = "_MLFLOW_TELEMETRY_SESSION_ID"


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are as before when a test ends."""
    for name in (*SET, SET_BY_MLFLOW):
        monkeypatch.setenv(name, "true" if name == SET[0] else "1")


def test_a_run_that_goes_on_elsewhere_stays_one_run(tmp_path: Path) -> None:
    config = MlflowConfig(f"file:{tmp_path}/board", "tried")
    for step, nodes in ((1, 1), (2, 2)):
        tracker = MlflowTracker(config, RunFacts(tmp_path, "a", "id", {"lr0": 0.1, "cluster": {"nodes": nodes}}))
        tracker.log({"train/loss": 1.0}, step, is_epoch=False)
        tracker.close(0)
    client = MlflowClient(tracking_uri=config.tracking_uri)
    experiment = client.get_experiment_by_name("tried")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert [metric.step for metric in client.get_metric_history(found.info.run_id, "train/loss")] == [1, 2]
    assert found.data.params == {"lr0": "0.1", "cluster.nodes": "1"}


def test_parameters_that_a_start_was_killed_before_telling_are_told_by_the_next(tmp_path: Path) -> None:
    config = MlflowConfig(f"file:{tmp_path}/board", "tried")
    MlflowTracker(config, RunFacts(tmp_path, "a", "id", {"lr0": 0.1}))
    MlflowTracker(config, RunFacts(tmp_path, "a", "id", {"lr0": 0.1, "epochs": 3}))
    client = MlflowClient(tracking_uri=config.tracking_uri)
    experiment = client.get_experiment_by_name("tried")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.data.params == {"lr0": "0.1", "epochs": "3"}


def test_runs_that_begin_at_the_same_moment_share_an_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = MlflowConfig(f"file:{tmp_path}/board", "tried")
    look = MlflowClient.get_experiment_by_name

    def made_meanwhile(client: MlflowClient, name: str) -> Any:
        found = look(client, name)
        if found is None:
            client.create_experiment(name)
        return found

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", made_meanwhile)
    MlflowTracker(config, RunFacts(tmp_path, "a", "id", {}))
    (found,) = MlflowClient(tracking_uri=config.tracking_uri).search_experiments(filter_string="name = 'tried'")
    assert found.name == "tried"
