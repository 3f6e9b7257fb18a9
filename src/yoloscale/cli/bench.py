"""`yoloscale bench train|checkpoint|predict [key=value …]`: what is measured, and what becomes of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import FAILED, FINISHED

HELP = """\
usage: yoloscale bench train|checkpoint|predict [key=value …] [-o json] [--dry-run]

train: trains the same model on the same images with yoloscale and with `yolo train`, in turn and repeatedly, and runs
bare forward+backward+optimiser steps with the same ranks.

checkpoint: trains, and saves in turn as our runs do and as Ultralytics does; then times `yoloscale resume` from process
start to first step, early and late in an epoch.

predict: sends the same images through the same weights with yoloscale, with `yolo predict` as it comes and with that
tuned by hand, in turn and repeatedly; and measures what decoding and computing alone would reach.

The keys are those of `yoloscale train`, of predict those of `yoloscale predict`.

  yoloscale bench train                                        YOLO26n from scratch at 320 px, batch 16
  yoloscale bench train model=yolo26s.yaml imgsz=640 epochs=3
  yoloscale bench train device=0,1 batch=64 data=coco128 bench.repeats=1
  yoloscale bench checkpoint model=yolo26s.yaml
  yoloscale bench predict                                      YOLO26n at 640 px, rendered JPEG files of 1080p
  yoloscale bench predict model=best.pt source=path/to/images quantize=16

  bench.repeats=3            how often each side, or each resume, is measured
  bench.yolo=[key=value,…]   arguments for `yolo` alone, cache=ram say
  bench.checkpoints=12       checkpoint: how many are measured
  bench.far_step=10000       checkpoint: the late step; the early one is step 10
  bench.images=384           predict: how many, where no source= is given; without model= the weights are random
  bench.batches=[1,4,8,16]   predict: what the best batch of `yolo predict` tuned by hand is looked for among
  -o json                    for scripts; also kept as report.json in the folder of the measurement
  --dry-run                  print the commands, start nothing
"""


def main(typed: list[str]) -> int:
    """Measure; 0 however it turns out, 1 if a side failed, 2 bad config."""
    if not typed or typed[0] in ("-h", "--help") or "--help" in typed or "-h" in typed:
        print(HELP)
        return FINISHED
    if typed[0] == "checkpoint":
        from yoloscale.cli import bench_checkpoint

        return bench_checkpoint.main(typed[1:])
    if typed[0] == "train":
        from yoloscale.cli import bench_train

        return bench_train.main(typed[1:])
    if typed[0] == "predict":
        from yoloscale.cli import bench_predict

        return bench_predict.main(typed[1:])
    instead = "yoloscale bench train, yoloscale bench checkpoint, yoloscale bench predict"
    raise ConfigError(Problem("bench", f"there is nothing to measure called {typed[0]!r}", instead))


def keep(
    measure: Callable[[], Mapping[str, Any]],
    folder: Path,
    show: Callable[[Mapping[str, Any]], None],
    *,
    as_json: bool,
) -> int:
    """Measure into a folder, keep the report there as report.json, and show it; the exit code."""
    from yoloscale.bench.sides import SideFailed

    try:
        report = measure()
    except SideFailed as failure:
        print(failure, file=sys.stderr)
        return FAILED
    content = json.dumps(report, indent=1)
    (folder / "report.json").write_text(content + "\n", encoding="utf-8")
    if as_json:
        print(content)
    else:
        show(report)
    return FINISHED
