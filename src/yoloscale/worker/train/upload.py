"""What trackers get of a finished run: what it came to, its pictures, its models and the data they come from."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any

from yoloscale.config.schema import Config
from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import sha256_of
from yoloscale.track.tracker import Artifact, Tracker
from yoloscale.worker.train.observer import RunObserver
from yoloscale.worker.train.parts import Parts
from yoloscale.yolo import fingerprint

PREDICTIONS = ("val_batch*_pred.jpg", "val_batch*_labels.jpg")
PLOTS = ("results.png", "*confusion_matrix*.png", "*_curve.png", "*PR_curve.png", "labels*.jpg", "train_batch*.jpg")
_RESULTS = ("fitness", "epochs", "steps", "images_per_s", "goodput", "restarts", "skipped_steps")


def publish(config: Config, run: RunDirectory, parts: Parts, observer: RunObserver, result: dict[str, Any]) -> None:
    """Rank 0. Hand over everything; what takes time (digests, copies) is done by the trackers' thread."""
    step = int(result["steps"])
    observer.tell(partial(_say_results, result=result))
    observer.tell(lambda tracker: tracker.media(pictures(run.path), step))
    observer.tell(_Models(config, run, parts, result).say)


def pictures(folder: Path) -> dict[str, Path]:
    """Ultralytics' pictures of a run folder, by the name that trackers show them under."""
    patterns = [*(("predictions", pattern) for pattern in PREDICTIONS), *(("plots", pattern) for pattern in PLOTS)]
    return {f"{group}/{path.stem}": path for group, pattern in patterns for path in sorted(folder.glob(pattern))}


class _Models:
    """best.pt and last.pt with what they were trained on; digests are taken once, when a tracker wants them."""

    def __init__(self, config: Config, run: RunDirectory, parts: Parts, result: dict[str, Any]) -> None:
        self._config, self._run, self._parts, self._result = config, run, parts, result

    def say(self, tracker: Tracker) -> None:
        if not tracker.takes_models:
            return
        tracker.uses(str(self._data["name"]), str(self._data["digest"]), self._data)
        for artifact in self._artifacts:
            tracker.artifact(artifact)

    @cached_property
    def _artifacts(self) -> list[Artifact]:
        return models(self._run, self._result, {"dataset": self._data})

    @cached_property
    def _data(self) -> dict[str, Any]:
        trainer, train = self._parts.trainer, self._parts.samples.dataset
        validation = self._parts.evaluation.dataset
        return {
            "name": self._config.data.name,
            "digest": fingerprint.digest(train),
            "val_digest": fingerprint.digest(validation),
            "train_images": len(train),
            "val_images": len(validation),
            "classes": [str(name) for name in dict(trainer.data["names"]).values()],
        }


def models(run: RunDirectory, result: dict[str, Any], metadata: dict[str, Any]) -> list[Artifact]:
    """The run's weights, `last` before `best`: the newest version is the one to use."""
    evaluations = {int(line["epoch"]): line for line in jsonl.read(run.metrics) if line.get("kind") == "eval"}
    last = int(result["epochs"])
    best = _best_epoch(evaluations) or last
    artifacts = []
    for alias, path, epoch in (("last", run.last_weights, last), ("best", run.best_weights, best)):
        if path.exists():
            own = {"epoch": epoch, "sha256": sha256_of(path), "metrics": _metrics(evaluations.get(epoch, {}))}
            artifacts.append(Artifact(path, run.name, (alias, f"epoch-{epoch}"), {**metadata, **own}))
    return artifacts


def _best_epoch(evaluations: dict[int, dict[str, Any]]) -> int | None:
    """The epoch of best.pt: the first of the highest fitness, and as long as that is 0 the latest."""
    best, highest = None, 0.0
    for epoch, evaluation in sorted(evaluations.items()):
        fitness = float(evaluation.get("fitness") or 0.0)
        if fitness > highest or highest == 0.0:
            best, highest = epoch, fitness
    return best


def _metrics(evaluation: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in evaluation.items() if key == "fitness" or key.startswith("metrics/")}


def _say_results(tracker: Tracker, *, result: dict[str, Any]) -> None:
    metrics = {f"best/{name.removeprefix('metrics/')}": value for name, value in result["metrics"].items()}
    tracker.summary({**metrics, **{key: result[key] for key in _RESULTS if result.get(key) is not None}})
