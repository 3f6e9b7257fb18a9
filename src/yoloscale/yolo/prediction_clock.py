"""Callbacks that time Ultralytics' own prediction: when each batch was done, and how many images it had.

Plain functions and one record at module level: Ultralytics copies callbacks deeply. Imports nothing but names, so that
it adds nothing to the time it measures.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yoloscale.system.variables import BENCH_FILE, BENCH_THREADS


@dataclass
class Clock:
    """What has been measured so far in this process; seconds since the Unix epoch."""

    last: float = 0.0
    seen: int = 0  # images
    spans: list[tuple[float, float, int]] = field(default_factory=list)  # of each batch: begin, end, images


clock = Clock()


def start(_predictor: Any) -> None:
    """Start timing: model and list of images are there.

    Ultralytics sets the threads of a CPU as it chooses the device, to one fewer than there are CPUs and whatever the
    environment says; whoever wants others sets them here.
    """
    if BENCH_THREADS in os.environ:
        sys.modules["torch"].set_num_threads(int(os.environ[BENCH_THREADS]))
    clock.last, clock.seen, clock.spans = time.time(), 0, []


def end_batch(predictor: Any) -> None:
    """Note a batch: from the end of the one before."""
    now = time.time()
    clock.spans.append((clock.last, now, predictor.seen - clock.seen))
    clock.last, clock.seen = now, predictor.seen


def write(predictor: Any) -> None:
    """Write the measurement."""
    measured = {
        "spans": clock.spans,
        "precision": "fp16" if predictor.model.fp16 else "fp32",
        "threads": sys.modules["torch"].get_num_threads(),
        "batch": predictor.args.batch,
    }
    Path(os.environ[BENCH_FILE]).write_text(json.dumps(measured), encoding="utf-8")


CALLBACKS = {"on_predict_start": start, "on_predict_batch_end": end_batch, "on_predict_end": write}
