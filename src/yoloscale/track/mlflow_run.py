"""One MLflow run per training, whatever number of starts it takes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from yoloscale.config.check.service_variables import EXPERIMENT
from yoloscale.config.schema import MlflowConfig
from yoloscale.exit_codes import FINISHED, INTERRUPTED, STOPPED
from yoloscale.track.tracker import Artifact, RunFacts, Tracker

IDENTITY_TAG = "yoloscale.id"
NOT_IN_NAMES = re.compile(r"[^\w\-. /:]")  # MLflow's rule for the names of metrics
MAX_PARAM = 500  # characters that every version of MLflow takes
BATCH = 100  # parameters in one call, MLflow's limit
REQUEST_TIMEOUT_S, REQUEST_RETRIES = 10, 2
STATUS = {FINISHED: "FINISHED", STOPPED: "SCHEDULED", INTERRUPTED: "KILLED"}


class MlflowTracker(Tracker):
    """Logs to a tracking server or to a local file; a run is found again by a tag."""

    takes_models = True

    def __init__(self, config: MlflowConfig, facts: RunFacts) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(REQUEST_TIMEOUT_S))
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(REQUEST_RETRIES))
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # newer ones refuse a folder unless told
        self._client = MlflowClient(tracking_uri=config.tracking_uri)
        self._run = self._take_up(config, facts)
        logged = self._client.get_run(self._run).data.params  # these may not change: a run may go on elsewhere
        flat = ((key, value[:MAX_PARAM]) for key, value in _flat(facts.settings) if key not in logged)
        while part := [Param(key, value) for key, value in islice(flat, BATCH)]:
            self._client.log_batch(self._run, params=part)

    def _take_up(self, config: MlflowConfig, facts: RunFacts) -> str:
        experiment = self._experiment(config.experiment or EXPERIMENT)
        earlier = self._client.search_runs([experiment], filter_string=f"tags.`{IDENTITY_TAG}` = '{facts.identity}'")
        if earlier:
            run = str(earlier[0].info.run_id)
            self._client.update_run(run, status="RUNNING")
            return run
        group = {"yoloscale.group": facts.group} if facts.group else {}
        tags = {**config.tags, **group, IDENTITY_TAG: facts.identity}
        return str(self._client.create_run(experiment, run_name=config.name or facts.name, tags=tags).info.run_id)

    def _experiment(self, name: str) -> str:
        """The id of an experiment, which is made if it is not there; points of a sweep may do so at the same moment."""
        if (experiment := self._client.get_experiment_by_name(name)) is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:
                if (experiment := self._client.get_experiment_by_name(name)) is None:
                    raise
        return str(experiment.experiment_id)

    def log(self, values: Mapping[str, float], step: int, *, is_epoch: bool) -> None:
        now_ms = int(time.time() * 1000)
        self._client.log_batch(self._run, metrics=[Metric(_name(n), float(v), now_ms, step) for n, v in values.items()])

    def media(self, images: Mapping[str, Path], step: int) -> None:
        for name, path in images.items():
            self._client.log_artifact(self._run, str(path), str(Path(name).parent))

    def summary(self, values: Mapping[str, Any]) -> None:
        self._client.log_batch(self._run, tags=[RunTag(f"result.{_name(key)}", str(v)) for key, v in values.items()])

    def uses(self, name: str, digest: str, metadata: Mapping[str, Any]) -> None:
        tags = {"name": name, "digest": digest, **metadata}
        self._client.log_batch(self._run, tags=[RunTag(f"data.{key}", str(v)) for key, v in tags.items()])

    def artifact(self, artifact: Artifact) -> None:
        self._client.log_artifact(self._run, str(artifact.path), "weights")

    def close(self, exit_code: int) -> None:
        self._client.set_terminated(self._run, STATUS.get(exit_code, "FAILED"))


def _name(name: str) -> str:
    """`metrics/mAP50(B)` as MLflow takes it: `metrics/mAP50_B`."""
    return NOT_IN_NAMES.sub("_", name).rstrip("_")


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
