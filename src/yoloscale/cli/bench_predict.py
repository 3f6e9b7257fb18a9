"""`yoloscale bench predict [key=value …]`: inference against `yolo predict`, and against what the machine can do."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from yoloscale.bench import prediction_commands as commands
from yoloscale.bench import prediction_figures as figures
from yoloscale.bench import prediction_sides as sides
from yoloscale.bench.machine import describe_machine
from yoloscale.bench.plan import PredictionSettings, take_apart
from yoloscale.bench.prediction_plan import DISTINCT, PredictionPlan, make_plan
from yoloscale.bench.sides import run_side
from yoloscale.cli.bench import keep
from yoloscale.cli.show.bench_predict import print_report
from yoloscale.cli.show.watch import say
from yoloscale.config.compose.hydra import run_hydra_flags
from yoloscale.config.locations import cache_folder
from yoloscale.config.plan import describe
from yoloscale.config.schema import Device, PredictConfig
from yoloscale.datasets.shapes.photographs import photographs
from yoloscale.exit_codes import FINISHED
from yoloscale.launch.prepare_inference import finished_weights, prepare_prediction
from yoloscale.system import cpus


def main(typed: list[str]) -> int:
    """Measure; the exit code as of `bench.main`."""
    words = take_apart(typed, PredictionSettings, PredictConfig.kind)
    if (exit_code := run_hydra_flags(words.line)) is not None:
        return exit_code
    plan = make_plan(words)
    if words.is_dry:
        source = Path(plan.source) if plan.source else plan.images_of(0, 1)
        print("\n".join(shown_commands(plan, plan.weights, source, words.settings.batches[0]).values()))
        return FINISHED
    return keep(lambda: _measure(plan, words.settings), plan.folder, print_report, as_json=words.as_json)


def shown_commands(plan: PredictionPlan, weights: Path, source: Path, batch: int) -> dict[str, str]:
    """The commands as a person would type them; `batch` is that of `yolo` tuned by hand."""
    ours = commands.ours([f"model={weights}", *plan.tokens], plan.folder, "ours-1", source)
    yolo = commands.yolo_arguments(plan.config, weights, source, plan.yolo)
    plain, tuned = (shlex.join(["yolo", *commands.yolo(words)[3:]]) for words in (yolo, {**yolo, "batch": batch}))
    return {
        "ours": shlex.join(["yoloscale", *ours[3:]]),
        "yolo": f"YOLO_OFFLINE=true {plain}",
        "tuned": f"YOLO_OFFLINE=true {tuned}  # and torch.set_num_threads({cpus.available()}), on_predict_start",
    }


def _measure(plan: PredictionPlan, settings: PredictionSettings) -> dict[str, Any]:
    """All repeats of all sides, in turn; the report. Raises SideFailed, ConfigError."""
    weights = plan.weights if plan.architecture else finished_weights(plan.config, say).path
    plan.folder.mkdir(parents=True)
    if plan.architecture:
        _make_weights(plan.architecture, weights)
    model = replace(plan.config.model, weights=str(weights))
    source = Path(plan.source) if plan.source else _write_lists(plan, settings.images)
    config = prepare_prediction(replace(plan.config, model=model, source=[str(source)]), say)
    race = _Race(plan, config, weights, source, settings)
    rounds: list[figures.Round] = []
    for number in range(1, settings.repeats + 1):
        batches = [figures.best_batch(rounds[0])] if rounds else settings.batches
        rounds.append(race.round(number, batches))
    about = {
        "plan": describe(config),
        "settings": {
            "model": weights.stem,
            "weights": "random" if plan.architecture else str(weights),
            "source": plan.source or f"{min(settings.images, DISTINCT)} rendered JPEG files of 1920 × 1080 px",
            "images": settings.images if plan.source is None else None,
            "imgsz": config.imgsz,
            "unit": config.images_of_unit,
        },
        "machine": describe_machine(),
        "commands": shown_commands(plan, weights, source, figures.best_batch(rounds[0])),
        "folder": str(plan.folder),
    }
    return figures.as_json(rounds, race.shares_cpus, about)


class _Race:
    """The sides of one benchmark."""

    def __init__(
        self, plan: PredictionPlan, config: PredictConfig, weights: Path, source: Path, settings: PredictionSettings
    ) -> None:
        self._plan, self._config, self._source, self._settings = plan, config, source, settings
        self._model = f"model={weights}"
        self._yolo = commands.yolo_arguments(config, weights, source, plan.yolo)
        self.shares_cpus = config.cluster.device is Device.cpu

    def round(self, number: int, batches: list[int]) -> figures.Round:
        """Every side once. The limits first: they read the images, and warm the disk cache up for the others."""
        plan, skip = self._plan, self._config.images_of_unit
        each = max(self._settings.images // plan.ranks, 1)
        limits = sides.measure_limits(self._config, plan.folder, f"limits-{number}", each)
        self._say(number, "decode only", limits.decode_images_per_s)
        self._say(number, "forward only", limits.forward_images_per_s)
        yolo = sides.measure_yolo(commands.yolo(self._yolo), plan.folder, f"yolo-{number}", skip)
        self._say(number, "yolo predict", yolo.images_per_s)
        argv = commands.ours([self._model, *plan.tokens], plan.folder, f"ours-{number}", self._source)
        ours = sides.measure_ours({f"ours-{number}": argv}, plan.folder, plan.ranks, skip)
        self._say(number, "yoloscale predict", ours.images_per_s)
        tuned = {batch: self._tuned(number, batch, skip) for batch in batches}
        alone = self._alone(number, limits.loaders) if plan.ranks > 1 and plan.source is None else None
        return figures.Round(ours, yolo, tuned, alone, limits)

    def _tuned(self, number: int, batch: int, skip: int) -> sides.Pace:
        argv = commands.yolo({**self._yolo, "batch": batch})
        name = f"yolo-{number}-batch-{batch}"
        pace = sides.measure_yolo(argv, self._plan.folder, name, skip, threads=cpus.available())
        self._say(number, f"yolo predict, {cpus.available()} threads, batch {batch}", pace.images_per_s)
        return pace

    def _alone(self, number: int, loaders: int) -> sides.Pace:
        """As many processes as we have ranks, each by itself on its part of the images."""
        plan, config, parts = self._plan, self._config, self._plan.ranks
        argvs = {}
        for part in range(parts):
            name = f"alone-{number}-{part + 1}"
            words = [self._model, *plan.tokens, *commands.alone(config, part, loaders)]
            argvs[name] = commands.ours(words, plan.folder, name, plan.images_of(part, parts))
        pace = sides.measure_ours(argvs, plan.folder, parts, config.images_of_unit)
        self._say(number, f"{parts} processes of yoloscale side by side", pace.images_per_s)
        return pace

    def _say(self, number: int, side: str, images_per_s: float) -> None:
        say(f"{number}/{self._settings.repeats}  {side}  {images_per_s:.1f} images/s")


def _make_weights(architecture: str, to: Path) -> None:
    """Random weights, made without any download."""
    argv = [sys.executable, "-m", "yoloscale.yolo.untrained", architecture, str(to)]
    run_side(argv, {"YOLO_OFFLINE": "true"}, to.with_name("weights.log"))


def _write_lists(plan: PredictionPlan, images: int) -> Path:
    """Render images, and list them for one process and for several; the list for one."""
    rendered = photographs(min(images, DISTINCT), cache_folder(plan.config.paths), say)
    lines = [f"{path}\n" for path in islice(cycle(rendered), images)]
    for parts in {1, plan.ranks}:
        for part in range(parts):
            plan.images_of(part, parts).write_text("".join(lines[part::parts]), encoding="utf-8")
    return plan.images_of(0, 1)
