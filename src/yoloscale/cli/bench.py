"""`yoloscale bench train|checkpoint [key=value …]`: what is measured, and training speed against `yolo train`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from yoloscale.bench.plan import Plan, Settings, composed_tokens, make_plan, take_apart
from yoloscale.cli.show.watch import say
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import FAILED, FINISHED

HELP = """\
usage: yoloscale bench train|checkpoint [key=value …] [-o json] [--dry-run]

train: trains the same model on the same images with yoloscale and with `yolo train`, in turn and repeatedly, and runs
bare forward+backward+optimiser steps with the same ranks.

checkpoint: trains, and saves in turn as our runs do and as Ultralytics does; then times `yoloscale resume` from process
start to first step, early and late in an epoch.

The keys are those of `yoloscale train`.

  yoloscale bench train                                        YOLO26n from scratch at 320 px, batch 16
  yoloscale bench train model=yolo26s.yaml imgsz=640 epochs=3
  yoloscale bench train device=0,1 batch=64 data=coco128 bench.repeats=1
  yoloscale bench checkpoint model=yolo26s.yaml

  bench.repeats=3            how often each side, or each resume, is measured
  bench.yolo=[key=value,…]   train: arguments for `yolo train` alone, cache=ram say
  bench.checkpoints=12       checkpoint: how many are measured
  bench.far_step=10000       checkpoint: the late step; the early one is step 10
  -o json                    for scripts; also kept as report.json in the folder of the measurement
  --dry-run                  print the commands, start nothing
"""


def main(typed: list[str]) -> int:
    """Measure; 0 however it turns out, 1 if a side failed, 2 bad config."""
    if not typed or typed[0] in ("-h", "--help") or "--help" in typed or "-h" in typed:
        print(HELP)
        return FINISHED
    if typed[0] == "checkpoint":
        from yoloscale.cli.bench_checkpoint import main as measure_checkpoints

        return measure_checkpoints(typed[1:])
    if typed[0] != "train":
        instead = "yoloscale bench train, yoloscale bench checkpoint"
        raise ConfigError(Problem("bench", f"there is nothing to measure called {typed[0]!r}", instead))
    return _main(typed[1:])


def _main(typed: list[str]) -> int:
    from yoloscale.bench.sides import SideFailed
    from yoloscale.config.compose.hydra import run_hydra_flags

    given = take_apart(typed, Settings)
    answered = run_hydra_flags(composed_tokens(given.rest))
    if answered is not None:
        return answered
    plan = make_plan(given)
    if given.is_dry:
        arguments = yolo_arguments(plan, *_as_named(plan.config))
        print("\n".join(shown_commands(plan, arguments).values()))
        return FINISHED
    try:
        report = _measure(plan, given.settings.repeats)
    except SideFailed as failure:
        print(failure, file=sys.stderr)
        return FAILED
    (plan.folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if given.as_json:
        print(json.dumps(report, indent=1))
    else:
        from yoloscale.cli.show.bench import print_report

        print_report(report)
    return FINISHED


def shown_commands(plan: Plan, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Both commands as a person would type them."""
    from yoloscale.bench import commands as bench_commands

    ours = bench_commands.ours(plan.tokens, plan.folder, "ours-1")
    yolo = bench_commands.yolo(arguments, plan.folder, "yolo-1")
    return {
        "ours": shlex.join(["yoloscale", *ours[3:]]),
        "yolo": f"YOLO_OFFLINE=true {shlex.join(['yolo', *yolo[3:]])}",
    }


def yolo_arguments(plan: Plan, source: Path, weights: Path | None) -> dict[str, Any]:
    """What `yolo train` is told, from the files of dataset and weights."""
    from yoloscale.bench import commands as bench_commands

    return bench_commands.yolo_arguments(replace(plan.config, amp=plan.amp), source, weights, plan.yolo)


def _as_named(config: Config) -> tuple[Path, Path | None]:
    """Dataset and weights by the names that were typed: they may not be there yet."""
    from yoloscale.config.resolve import starting_weights

    weights = starting_weights(config)
    return Path(config.data.source), Path(weights) if weights else None


def located(config: Config) -> tuple[Path, Path | None]:
    """Dataset and weights of a prepared config."""
    from yoloscale.config.locations import cache_folder
    from yoloscale.config.resolve import starting_weights
    from yoloscale.datasets import sources

    cache, weights = cache_folder(config.paths), starting_weights(config)
    assert config.model.task is not None, "prepare fills it in"
    source = sources.locate(config.data, config.model.task, cache, config.split, config.origin.opened)
    return source, sources.locate_weights(weights, cache) if weights else None


def _measure(plan: Plan, count: int) -> dict[str, Any]:
    """All repeats of all sides, in turn; the report. Raises SideFailed, ConfigError."""
    from yoloscale.bench import commands as bench_commands
    from yoloscale.bench import figures
    from yoloscale.bench import sides as bench_sides
    from yoloscale.bench.machine import describe_machine
    from yoloscale.config.plan import plan as batch_plan
    from yoloscale.launch.prepare import prepare

    config = prepare(plan.config, say)
    plan.folder.mkdir(parents=True)
    arguments = yolo_arguments(plan, *located(config))
    repeats = []
    for number in range(1, count + 1):
        # bare first: it reads the labels and warms the disk cache up for the other two
        bare = bench_sides.measure_bare(config, plan.folder, f"bare-{number}")
        _tell(number, count, "bare", max(sample.images_per_s for sample in bare.values()))
        argv = bench_commands.ours(plan.tokens, plan.folder, f"ours-{number}")
        ours = bench_sides.measure_ours(argv, plan.folder, f"ours-{number}")
        _tell(number, count, "ours", ours.images_per_s)
        argv = bench_commands.yolo(arguments, plan.folder, f"yolo-{number}")
        yolo = bench_sides.measure_yolo(argv, plan.folder, f"yolo-{number}")
        _tell(number, count, "yolo", yolo.images_per_s)
        repeats.append(figures.Repeat(ours, yolo, bare))
    about = {
        "plan": str(batch_plan(config)),
        "settings": {
            "model": config.model.name,
            "data": config.data.name,
            "imgsz": config.imgsz,
            "epochs": config.epochs,
            "cache": {"ours": config.cache, "yolo": arguments.get("cache", False)},
        },
        "machine": describe_machine(),
        "commands": shown_commands(plan, arguments),
        "folder": str(plan.folder),
    }
    return figures.as_json(repeats, about)


def _tell(number: int, count: int, side: str, images_per_s: float) -> None:
    say(f"{number}/{count}  {side}  {images_per_s:.1f} images/s")
