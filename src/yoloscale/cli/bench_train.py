"""`yoloscale bench train [key=value …]`: training speed against `yolo train`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from yoloscale.bench import commands, figures, sides
from yoloscale.bench.machine import describe_machine
from yoloscale.bench.plan import Plan, Settings, make_plan, take_apart
from yoloscale.cli.bench import keep
from yoloscale.cli.show.bench import print_report
from yoloscale.cli.show.watch import say
from yoloscale.config.compose.hydra import run_hydra_flags
from yoloscale.config.locations import cache_folder
from yoloscale.config.plan import describe
from yoloscale.config.resolve import starting_weights
from yoloscale.config.schema import Config
from yoloscale.datasets import sources
from yoloscale.exit_codes import FINISHED
from yoloscale.launch.prepare import prepare


def main(typed: list[str]) -> int:
    """Measure; the exit code as of `bench.main`."""
    words = take_apart(typed, Settings)
    if (exit_code := run_hydra_flags(words.line)) is not None:
        return exit_code
    plan = make_plan(words)
    if words.is_dry:  # dataset and weights by the names that were typed: they may not be there yet
        weights = starting_weights(plan.config)
        arguments = yolo_arguments(plan, Path(plan.config.data.source), Path(weights) if weights else None)
        print("\n".join(shown_commands(plan, arguments).values()))
        return FINISHED
    return keep(lambda: _measure(plan, words.settings.repeats), plan.folder, print_report, as_json=words.as_json)


def shown_commands(plan: Plan, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Both commands as a person would type them."""
    ours = commands.ours(plan.tokens, plan.folder, "ours-1")
    yolo = commands.yolo(arguments, plan.folder, "yolo-1")
    return {
        "ours": shlex.join(["yoloscale", *ours[3:]]),
        "yolo": f"YOLO_OFFLINE=true {shlex.join(['yolo', *yolo[3:]])}",
    }


def yolo_arguments(plan: Plan, source: Path, weights: Path | None) -> dict[str, Any]:
    """What `yolo train` is told, from the files of dataset and weights."""
    return commands.yolo_arguments(replace(plan.config, amp=plan.amp), source, weights, plan.yolo)


def located(config: Config) -> tuple[Path, Path | None]:
    """Dataset and weights of a prepared config."""
    cache, weights = cache_folder(config.paths), starting_weights(config)
    assert config.model.task is not None, "prepare fills it in"
    source = sources.locate(config.data, config.model.task, cache, config.split, config.origin.opened)
    return source, sources.locate_weights(weights, cache) if weights else None


def _measure(plan: Plan, count: int) -> dict[str, Any]:
    """All repeats of all sides, in turn; the report. Raises SideFailed, ConfigError."""
    config, folder = prepare(plan.config, say), plan.folder
    folder.mkdir(parents=True)
    arguments = yolo_arguments(plan, *located(config))
    repeats = []
    for number in range(1, count + 1):
        # bare first: it reads the labels and warms the disk cache up for the other two
        bare = sides.measure_bare(config, folder, f"bare-{number}")
        _say_speed(number, count, "bare", max(sample.images_per_s for sample in bare.values()))
        ours = sides.measure_ours(commands.ours(plan.tokens, folder, f"ours-{number}"), folder, f"ours-{number}")
        _say_speed(number, count, "ours", ours.images_per_s)
        yolo = sides.measure_yolo(commands.yolo(arguments, folder, f"yolo-{number}"), folder, f"yolo-{number}")
        _say_speed(number, count, "yolo", yolo.images_per_s)
        repeats.append(figures.Repeat(ours, yolo, bare))
    about = {
        "plan": describe(config),
        "settings": {
            "model": config.model.name,
            "data": config.data.name,
            "imgsz": config.imgsz,
            "epochs": config.epochs,
            "cache": {"ours": config.cache, "yolo": arguments.get("cache", False)},
        },
        "machine": describe_machine(),
        "commands": shown_commands(plan, arguments),
        "folder": str(folder),
    }
    return figures.as_json(repeats, about)


def _say_speed(number: int, count: int, side: str, images_per_s: float) -> None:
    say(f"{number}/{count}  {side}  {images_per_s:.1f} images/s")
