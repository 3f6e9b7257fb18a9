"""The end of a finished run: evaluation of best.pt, pictures, result.json."""

from __future__ import annotations

import json
import time
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
        calibrate(chosen, parts.evaluation.dataset, parts.trainer)
    group.barrier()
    metrics = parts.evaluation.final(chosen, plots=config.plots)
    if not ranks.is_first:
        return
    write_arguments(run.path / "args.yaml", parts.trainer.args)
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
    plots.results(run.path / "results.csv")
    plots.labels(parts.trainer)
    for number, batch in enumerate(observer.first_batches):
        plots.training_batch(parts.trainer, batch, number)
    plots.wait()


def write_arguments(path: Path, args: Any) -> None:
    """args.yaml as Ultralytics writes it, without the paths of the run itself."""
    values = {key: value for key, value in vars(args).items() if key not in ("save_dir", "project")}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
