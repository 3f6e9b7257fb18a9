"""`yoloscale bench checkpoint [key=value …]`: what a checkpoint costs the loop, and how soon a run goes on from one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from yoloscale.bench import checkpoint, checkpoint_figures
from yoloscale.bench.machine import describe_machine
from yoloscale.bench.plan import (
    NEAR_STEP,
    CheckpointSettings,
    comparable,
    free_folder,
    take_apart,
)
from yoloscale.cli.bench import keep
from yoloscale.cli.show.bench_checkpoint import print_report
from yoloscale.cli.show.watch import say
from yoloscale.config.compose.hydra import run_hydra_flags
from yoloscale.config.plan import describe
from yoloscale.config.schema import Config
from yoloscale.exit_codes import FINISHED
from yoloscale.launch.prepare import prepare


def main(typed: list[str]) -> int:
    """Measure; the exit code as of `bench.main`."""
    words = take_apart(typed, CheckpointSettings)
    if (exit_code := run_hydra_flags(words.line)) is not None:
        return exit_code
    (config, _), settings = comparable(words.line), words.settings
    folder = free_folder(config, "-checkpoint")
    if words.is_dry:
        times = f"{settings.repeats} × yoloscale resume"
        print(f"plan    {describe(config)}")
        print(f"train   {config.model.name} on {config.data.name}, {settings.checkpoints} checkpoints of each kind")
        print(f"resume  {times} at step {NEAR_STEP}, {times} at step {settings.far_step} of an epoch")
        print(f"folder  {folder}")
        return FINISHED
    command = shlex.join(["yoloscale", "bench", "checkpoint", *typed])
    return keep(lambda: _measure(config, settings, folder, command), folder, print_report, as_json=words.as_json)


def _measure(config: Config, settings: CheckpointSettings, folder: Path, command: str) -> dict[str, Any]:
    """The report. Raises SideFailed, ConfigError."""
    config = prepare(config, say)
    resumed = prepare(checkpoint.resumed_config(config, settings.far_step), say)
    folder.mkdir(parents=True)
    cost = checkpoint.measure_cost(config, folder, settings.checkpoints)
    say(f"{settings.checkpoints} checkpoints measured")
    times = _resumes(resumed, settings, folder)
    about = {
        "plan": describe(config),
        "settings": {
            "model": config.model.name,
            "data": config.data.name,
            "imgsz": config.imgsz,
            "resumed": describe(resumed),
        },
        "machine": describe_machine(),
        "command": command,
        "folder": str(folder),
    }
    return checkpoint_figures.as_json(cost, times, about)


def _resumes(config: Config, settings: CheckpointSettings, folder: Path) -> dict[int, list[float]]:
    """Seconds to the first step, by the step that was resumed at; in turn, so that a slow moment hits both."""
    steps = (NEAR_STEP, settings.far_step)
    stored = checkpoint.store_positions(config, folder, steps)
    times = {step: list[float]() for step in steps}
    for number in range(1, settings.repeats + 1):
        for step in steps:
            seconds = checkpoint.measure_resume(stored, step, folder, f"resume-{step}-{number}")
            say(f"{number}/{settings.repeats}  resumed at step {step}: {seconds:.2f} s to the first step")
            times[step].append(seconds)
    return times
