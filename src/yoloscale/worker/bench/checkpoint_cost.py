"""What a checkpoint costs the loop, ours and Ultralytics' own of the same state, in turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from yoloscale.checkpoint.interval import automatic_s
from yoloscale.config.schema.bench import BenchConfig
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.bench.training import Training
from yoloscale.yolo.native_save import NativeSave

WARM_UP_STEPS = 5
QUIET_STEPS = 4  # at least, of each round
MAX_STEPS = 50  # of each part of a round


def measure(config: BenchConfig, run: RunDirectory, ranks: Ranks) -> dict[str, Any]:
    """Collective. The samples of all rounds; of rank 0, which is the one that writes.

    Each round: a checkpoint, steps beside its write, steps with nothing beside, then Ultralytics' saves, then a
    checkpoint as after an epoch, which publishes weights/last.pt too.
    """
    training = Training(config, run, ranks)
    parts = training.parts
    native = NativeSave(parts.trainer, parts.stepper, run.path / "native") if ranks.is_first else None
    training.run(WARM_UP_STEPS)
    # makes the host memory that the others use again, and shows how many steps a write takes
    first = _round(training, run, native, QUIET_STEPS)
    beside = group.broadcast_object(_steps_beside(first) if ranks.is_first else 0)
    rounds = [_round(training, run, native, beside) for _ in range(config.bench.checkpoints)]
    training.close()
    if native is None:
        return {}
    blocked_s, write_s = median(r["blocked_s"] for r in rounds), median(r["write_s"] for r in rounds)
    mtbf_s = config.checkpoint.mtbf_hours * 3600
    return {
        "first_blocked_s": first["blocked_s"],
        "rounds": rounds,
        "interval_s": automatic_s(blocked_s, write_s, mtbf_s),
        "mtbf_s": mtbf_s,
        "native_bytes": native.file_bytes,
        "precision": parts.precision.name,
        "threads": torch.get_num_threads(),
        "workers": parts.loading.workers,
    }


def _round(training: Training, run: RunDirectory, native: NativeSave | None, beside: int) -> dict[str, Any]:
    """Collective. One checkpoint of each kind; empty on ranks that write nothing.

    The other ranks go on with the next step while the first one saves, as they do in a training, whoever's save it is.
    """
    checkpointer = training.checkpointer
    training.run(1)
    step = training.progress.position.total
    blocked_s = _seconds(training, lambda: checkpointer.save(training.progress, "measured"))
    busy = training.run(beside)
    checkpointer.wait()
    quiet = training.run(max(beside, QUIET_STEPS))
    native_s = _seconds(training, lambda: native(best=False)) if native else 0.0
    training.run(1)
    native_best_s = _seconds(training, lambda: native(best=True)) if native else 0.0
    training.run(1)
    epoch_end_s = _seconds(training, lambda: _save_as_after_an_epoch(training))
    training.run(1)
    checkpointer.wait()
    if native is None:
        return {}
    written = _written(run, step)
    return {
        "blocked_s": blocked_s,
        "write_s": written.seconds,
        "bytes": written.bytes,
        "native_s": native_s,
        "native_best_s": native_best_s,
        "epoch_end_s": epoch_end_s,
        "beside_s": [one.seconds for one in busy if one.started_at < written.time],  # it was not on disk yet
        "quiet_s": [one.seconds for one in quiet],
    }


def _save_as_after_an_epoch(training: Training) -> None:
    """Not collective. What the loop stands still for where an epoch ends."""
    training.checkpointer.publish(1, {}, best=False)
    training.checkpointer.save(training.progress, "measured")


def _seconds(training: Training, save: Callable[[], None]) -> float:
    """How long a rank stands still for a save."""
    training.wait_for_device()
    started = time.perf_counter()
    save()
    training.wait_for_device()
    return time.perf_counter() - started


def _written(run: RunDirectory, step: int) -> events.CheckpointSaved:
    """The event of the checkpoint of a step. Raises OSError if the disk did not take it."""
    history = events.history(run)
    saved = [event for event in history if isinstance(event, events.CheckpointSaved) and event.step == step]
    if not saved:
        warnings = [event.message for event in history if isinstance(event, events.Warned)]
        raise OSError(warnings[-1] if warnings else f"the checkpoint of step {step} is not on record")
    return saved[-1]


def _steps_beside(first: dict[str, Any]) -> int:
    """Steps of a round that a write of the same length cannot outlast."""
    steps: float = 1.5 * float(first["write_s"]) / median(first["quiet_s"])
    return min(max(math.ceil(steps), 2), MAX_STEPS)
