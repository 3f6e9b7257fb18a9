"""One rank of an evaluation, from the frozen config to its exit code."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from yoloscale.config.locations import cache_folder
from yoloscale.config.schema.inference_arguments import ValArguments
from yoloscale.config.schema.val import ValConfig
from yoloscale.data.worker_deaths import worker_deaths_named
from yoloscale.datasets.sources import locate, locate_weights
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import FINISHING, HEARTBEAT
from yoloscale.engine.stop_requests import Stop, StopRequests
from yoloscale.exit_codes import FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs import events, node_data
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import write_whole
from yoloscale.worker.common.attendance import announce, end_if_lost, leave, say_phase, watch_for_requests
from yoloscale.worker.common.inputs import own_versions, refuse_other_weights
from yoloscale.worker.train import remarks
from yoloscale.worker.train.hang import watch
from yoloscale.worker.train.parts import choose_device, refuse_unlike, stay_near
from yoloscale.worker.val.rounds import Rounds, Stopped
from yoloscale.yolo.messages import listening
from yoloscale.yolo.model_evaluation import ModelEvaluation, ModelMetrics

_ARGUMENTS = tuple(field.name for field in fields(ValArguments))


def val(config: ValConfig, run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    """Collective. Evaluate until all images are done or the run is asked to stop; returns the exit code of a worker.

    What was stopped begins anew: an evaluation keeps nothing.
    """
    device = choose_device(config, ranks)
    ranks = stay_near(device, ranks)
    watchdog = watch(config, run, ranks, attempt)
    group.join(ranks, config.cluster.backend or "gloo", device, config.cluster.timeout_s)
    processes = announce(run, ranks, attempt, device)
    watchdog.meet([asdict(process) for process in processes])
    with listening() as messages:
        evaluation, files = _open(config, run, ranks, attempt, device)
    remarks.tell(run, ranks, messages)
    watch_for_requests(run, ranks, requests)
    _say_started(run, ranks, attempt, len(files), evaluation)
    rounds = Rounds(run, ranks, requests, rounds=evaluation.rounds, images=len(files))
    started = time.monotonic()
    exit_code = FINISHED
    try:
        with worker_deaths_named(), listening() as messages:
            metrics = evaluation(rounds)
        remarks.tell(run, ranks, messages)
        HEARTBEAT.at(FINISHING)
        end_if_lost(run, ranks)
        if metrics is not None:
            _say_finished(config, run, evaluation, metrics, time.monotonic() - started)
    except Stopped as stopped:
        exit_code = INTERRUPTED if stopped.stop is Stop.interrupt else STOPPED
        _say_stopped(run, ranks, attempt, stopped)
    leave(watchdog)
    return exit_code


def _open(
    config: ValConfig, run: RunDirectory, ranks: Ranks, attempt: int, device: torch.device
) -> tuple[ModelEvaluation, Sequence[str]]:
    """Collective. The model and the images of the split. Raises ConfigError."""
    say = partial(say_phase, run, ranks, attempt)
    say("model")
    caches = cache_folder(config.paths)
    task = config.model.task
    assert task is not None, "the launcher writes the task into the frozen config"
    assert config.model.weights is not None, "the launcher refuses an evaluation without weights"
    weights = _weights(config.model.weights, caches)
    refuse_other_weights(config, weights)
    own_versions(config, weights)
    evaluation = ModelEvaluation(
        weights,
        task,
        locate(config.data, task, caches, config.split, node_data.opened(run, config), trains=False),
        {name: getattr(config, name) for name in _ARGUMENTS},
        folder=run.path,
        ranks=ranks,
        device=device,
    )
    say("data")
    files = evaluation.open_data()
    refuse_unlike(ranks, {config.split: files})
    return evaluation, files


def _weights(weights: str, caches: Path) -> Path:
    """The file of a `.pt`, released or a path, or what it was exported to."""
    return locate_weights(weights, caches) if weights.endswith(".pt") else Path(weights)


def _say_started(run: RunDirectory, ranks: Ranks, attempt: int, images: int, evaluation: ModelEvaluation) -> None:
    """Put on record that the set-up is over; on rank 0."""
    if not ranks.is_first:
        return
    say_phase(run, ranks, attempt, "ready")
    plan = f"batches of {evaluation.batch}, {evaluation.rounds} of them to a rank"
    started = events.EvaluationStarted(attempt=attempt, images=images, plan=plan, precision=evaluation.precision)
    events.append(run, started)


def _say_finished(
    config: ValConfig, run: RunDirectory, evaluation: ModelEvaluation, measured: ModelMetrics, seconds: float
) -> None:
    """On rank 0: write result.json, and say so."""
    metrics = dict(measured.metrics)
    events.append(run, events.Evaluated(epoch=0, metrics=metrics, seconds=seconds, final=True))
    fitness = metrics.pop("fitness", None)
    result: dict[str, Any] = {
        "metrics": metrics,
        "fitness": fitness,
        "task": evaluation.task.value,
        "weights": config.model.weights,
        "split": config.split,
        "images": measured.images,
        "classes": measured.classes,
        "images_per_s": round(measured.images / seconds, 2),
        "speed_ms": {stage: round(value, 3) for stage, value in measured.speed_ms.items()},
    }
    run.check()
    write_whole(run.result, json.dumps(result, indent=1) + "\n")
    finished = events.Finished(epochs=0, steps=evaluation.batches, images=measured.images)
    events.append(run, finished)


def _say_stopped(run: RunDirectory, ranks: Ranks, attempt: int, stopped: Stopped) -> None:
    """On rank 0: put on record what the run was asked to stop with."""
    if not ranks.is_first:
        return
    outcome = "interrupted" if stopped.stop is Stop.interrupt else "preempted"
    preempted = events.Preempted(attempt=attempt, step=0, epoch=0, signal=stopped.reason, outcome=outcome, saved=False)
    events.note(run, preempted)
    if run.loss() is None:
        run.stop_request.unlink(missing_ok=True)  # it has been honoured
