"""Callbacks that time Ultralytics' own training loop: training images per second, and when the first step was done.

Plain functions and one record at module level: Ultralytics copies callbacks deeply, and sends them to its DDP ranks
by name. Imports nothing but names, so that it adds nothing to the time it measures.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yoloscale.system.variables import BENCH_FILE


@dataclass
class Clock:
    """What has been measured so far in this process."""

    last: float = 0.0
    seconds: float = 0.0
    images: int = 0
    batch: int = 0  # of the epoch, from 0
    is_warm: bool = False  # the first batch of a process is not timed, as on our side
    first_step_at: float | None = None  # seconds since the Unix epoch


clock = Clock()


def start_epoch(_trainer: Any) -> None:
    """Start timing: what came before, evaluation and saving, is not training."""
    clock.last, clock.batch = time.perf_counter(), 0


def end_batch(trainer: Any) -> None:
    """Count a batch: the images of all ranks."""
    now = time.perf_counter()
    if clock.is_warm:
        clock.seconds += now - clock.last
        rest = len(trainer.train_loader.dataset) - clock.batch * trainer.batch_size
        clock.images += min(trainer.batch_size, rest)
    clock.is_warm, clock.last, clock.batch = True, now, clock.batch + 1
    if clock.first_step_at is None and trainer.ema.updates:
        clock.first_step_at = time.time()


def write(trainer: Any) -> None:
    """Write the measurement, on the first rank."""
    if os.environ.get("RANK", "0") not in ("0", "-1"):
        return
    measured = {
        "images_per_s": clock.images / clock.seconds if clock.seconds else 0.0,
        "first_step_at": clock.first_step_at,
        "precision": "bf16" if trainer.args.amp == "bf16" else "fp16" if trainer.amp else "fp32",
        "threads": sys.modules["torch"].get_num_threads(),
        "workers": trainer.train_loader.num_workers,
    }
    Path(os.environ[BENCH_FILE]).write_text(json.dumps(measured), encoding="utf-8")


CALLBACKS = {"on_train_epoch_start": start_epoch, "on_train_batch_end": end_batch, "on_train_end": write}
