"""The end of a finished run: evaluation of best.pt, pictures, result.json."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from yoloscale.config.schema import Config
from yoloscale.dist import group
from yoloscale.dist.environment import Ranks
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.tasks.observer import RunObserver
from yoloscale.tasks.setup import Parts
from yoloscale.yolo import plots
from yoloscale.yolo.calibration import calibrate


def finish(
    config: Config, run: RunDirectory, ranks: Ranks, parts: Parts, observer: RunObserver, summary: dict[str, Any]
) -> None:
    """Collective. Evaluate the published best weights as `yolo val` would, draw, and write result.json last."""
    best = run.weights / "best.pt"
    chosen = best if best.exists() else run.weights / "last.pt"
    if parts.trainer.args.task == "depth" and ranks.is_first:
        for weights in {chosen, run.weights / "last.pt"}:
            calibrate(weights, parts.evaluation.dataset, parts.trainer)
    group.barrier()
    metrics = parts.evaluation.final(chosen, plots=config.plots)
    if not ranks.is_first:
        return
    if config.plots:
        _draw(run, parts, observer)
    fitness = metrics.pop("fitness", None)
    begun = events.history(run)[0]["time"]
    goodput = summary.pop("productive_s") / (time.time() - begun)
    result = {
        "metrics": metrics,
        "fitness": fitness,
        "weights": str(chosen.relative_to(run.path)),
        **{name: round(value, 4) if isinstance(value, float) else value for name, value in summary.items()},
        "goodput": round(goodput, 4),
    }
    beside = run.result.with_name(".result.json.writing")
    beside.write_text(json.dumps(result, indent=1) + "\n")
    beside.replace(run.result)
    events.record(run, events.FINISHED, epochs=summary["epochs"], steps=summary["steps"])


def _draw(run: RunDirectory, parts: Parts, observer: RunObserver) -> None:
    """Draw the pictures; one that cannot be drawn is a warning: the training is done."""
    drawings: list[Callable[[], None]] = [
        partial(plots.results, run.path / "results.csv"),
        partial(plots.labels, parts.trainer),
    ]
    drawings += [partial(plots.training_batch, parts.trainer, *pair) for pair in _numbered(observer.first_batches)]
    for draw in drawings:
        try:
            draw()
        except Exception as error:
            events.warn(run, f"a picture could not be drawn: {type(error).__name__}: {error}")
    plots.wait()


def _numbered(batches: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    return [(batch, number) for number, batch in enumerate(batches)]


def published_arguments(parts: Parts) -> dict[str, Any]:
    """Ultralytics' arguments of the run as its users read them: the global batch, no path of the run itself."""
    values = {key: value for key, value in vars(parts.trainer.args).items() if key not in ("save_dir", "project")}
    return {**values, "batch": parts.order.batch}


def write_arguments(path: Path, parts: Parts) -> None:
    """args.yaml as Ultralytics writes it."""
    path.write_text(yaml.safe_dump(published_arguments(parts), sort_keys=False))
