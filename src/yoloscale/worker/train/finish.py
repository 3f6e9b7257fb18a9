"""The end of a finished run: evaluation of best.pt, pictures, result.json."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from yoloscale.config.schema import Config
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.goodput import starts_of, time_spent
from yoloscale.study.objectives import GFLOPS, LATENCY, PARAMETERS, objectives_of
from yoloscale.system.files import write_whole
from yoloscale.worker.train import remarks
from yoloscale.worker.train.observer import RunObserver
from yoloscale.worker.train.parts import Parts
from yoloscale.worker.train.trial import was_pruned
from yoloscale.worker.train.upload import publish
from yoloscale.yolo import cost, plots, weights
from yoloscale.yolo.calibration import calibrate
from yoloscale.yolo.messages import listening
from yoloscale.yolo.tasks import ADAPTERS
from yoloscale.yolo.trainer_view import TrainerView


def finish(
    config: Config,
    run: RunDirectory,
    ranks: Ranks,
    parts: Parts,
    *,
    observer: RunObserver,
    summary: dict[str, Any],
    callbacks: TrainerView | None = None,
) -> None:
    """Collective. Evaluate the published best weights as `yolo val` would, draw, and write result.json last.

    The callbacks are told after the drawing: one that fails leaves a run that is not finished.
    """
    started = time.monotonic()
    # by one rank for all: on another node a file may not be seen yet
    best, last = run.best_weights, run.last_weights
    evaluated_file = run.weights / group.by_first(lambda: (best if best.exists() else last).name)
    if ADAPTERS[parts.trainer.args.task].calibrates and ranks.is_first:
        for path in {evaluated_file, last}:
            run.check()
            calibrate(path, parts.evaluation.dataset, parts.trainer)
    group.barrier()
    with listening() as messages:  # of a model that is not augmented in tests, say
        metrics = parts.evaluation.final(evaluated_file, plots=config.plots)
    remarks.tell(run, ranks, messages)
    if ranks.is_first and config.plots:
        _draw(run, parts, observer)
    if callbacks is not None:
        callbacks.finished(metrics)
    if not ranks.is_first:
        return
    seconds = time.monotonic() - started
    events.append(run, events.Evaluated(epoch=summary["epochs"], metrics=dict(metrics), seconds=seconds, final=True))
    fitness = metrics.pop("fitness", None)
    result = {
        "metrics": metrics,
        "fitness": fitness,
        "weights": str(evaluated_file.relative_to(run.path)),
        **{name: round(value, 4) if isinstance(value, float) else value for name, value in summary.items()},
        **_account(run),
        **_cost(config, run, parts, evaluated_file),
        **({"pruned": True} if was_pruned(run, int(summary["epochs"])) else {}),
    }
    run.check()
    write_whole(run.result, json.dumps(result, indent=1) + "\n")
    events.append(run, events.Finished(epochs=summary["epochs"], steps=summary["steps"]))
    publish(config, run, parts, observer, result)


def _account(run: RunDirectory) -> dict[str, Any]:
    """Where the time went until now, in how many attempts; restarts are those by the launcher."""
    history = events.history(run)
    starts = starts_of(run, history)
    spent = time_spent(starts, time.time(), goes_on=True)
    restarts = sum(isinstance(event, events.Restarted) for event in history)
    shares = {"goodput": round(spent.goodput, 4), "time_s": spent.as_json()}
    return {**shares, "attempts": len(starts), "restarts": restarts}


def _cost(config: Config, run: RunDirectory, parts: Parts, file: Path) -> dict[str, Any]:
    """What the model costs where it is used; what takes time to measure only where a search looks for it.

    One that cannot be measured is a warning: the training is done.
    """
    objectives = objectives_of(config.trial.search) if config.trial is not None else {}
    costs: dict[str, Any] = {PARAMETERS: cost.parameters(parts.stepper.average.module)}
    channels = int(parts.trainer.data.get("channels", 3))
    measurements: dict[str, Callable[[], float]] = {
        GFLOPS: lambda: cost.gflops(file, config.imgsz),
        LATENCY: lambda: cost.latency_ms(file, config.imgsz, channels, parts.trainer.device),
    }
    for name in measurements.keys() & objectives:
        try:
            costs[name] = round(measurements[name](), 4)
        except Exception as error:
            events.warn(run, f"{name} is not in result.json: {type(error).__name__}: {error}")
    return costs


def _draw(run: RunDirectory, parts: Parts, observer: RunObserver) -> None:
    """Draw the pictures; one that cannot be drawn is a warning: the training is done."""
    drawings: list[Callable[[], None]] = [partial(plots.results, run.results_csv), parts.trainer.plot_training_labels]
    for number, batch in enumerate(observer.first_batches):
        drawings.append(partial(plots.training_batch, parts.trainer, batch, number))
    for draw in drawings:
        try:
            run.check()
            draw()
        except Exception as error:
            events.warn(run, f"a picture could not be drawn: {type(error).__name__}: {error}")
    plots.wait()


def published_arguments(parts: Parts) -> dict[str, Any]:
    """Ultralytics' arguments of the run as its users read them: the global batch, no path of the run itself."""
    values = {key: value for key, value in vars(parts.trainer.args).items() if key not in ("save_dir", "project")}
    return {**values, "batch": parts.plan.global_batch}


def weights_copier(parts: Parts, run: RunDirectory) -> Callable[[dict[str, float], int], Callable[[Path], None]]:
    """Copies the averaged weights as they are when called; what that returns writes the copy, before the next call."""

    @cache
    def published_copy() -> weights.PublishedCopy:
        """Not made before the first evaluation, which sets attributes of the model."""
        return weights.PublishedCopy(parts.stepper.average.module, published_arguments(parts), run.run_id, run.check)

    return lambda metrics, epoch: published_copy().fill(metrics, epoch)
