"""`yoloscale bench checkpoint [key=value …]`: what a checkpoint costs the loop, and how soon a run goes on from one."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from yoloscale.bench.plan import (
    NEAR_STEP,
    CheckpointSettings,
    comparable_config,
    composed_tokens,
    free_folder,
    take_apart,
)
from yoloscale.cli.show.watch import say
from yoloscale.config.schema import Config
from yoloscale.exit_codes import FAILED, FINISHED


def main(typed: list[str]) -> int:
    """Measure; 0 however it turns out, 1 if something failed, 2 bad config."""
    from yoloscale.bench.sides import SideFailed
    from yoloscale.config.compose.hydra import run_hydra_flags

    given = take_apart(typed, CheckpointSettings)
    answered = run_hydra_flags(composed_tokens(given.rest))
    if answered is not None:
        return answered
    config = comparable_config(given.rest)
    folder = free_folder(config, "-checkpoint")
    if given.is_dry:
        print("\n".join(_steps(config, given.settings, folder)))
        return FINISHED
    try:
        report = _measure(config, given.settings, folder, ["yoloscale", "bench", "checkpoint", *typed])
    except SideFailed as failure:
        print(failure, file=sys.stderr)
        return FAILED
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if given.as_json:
        print(json.dumps(report, indent=1))
    else:
        from yoloscale.cli.show.bench_checkpoint import print_report

        print_report(report)
    return FINISHED


def _steps(config: Config, settings: CheckpointSettings, folder: Path) -> list[str]:
    """What would be started."""
    from yoloscale.config.plan import describe

    times = f"{settings.repeats} × yoloscale resume"
    return [
        f"plan    {describe(config)}",
        f"train   {config.model.name} on {config.data.name}, {settings.checkpoints} checkpoints of each kind",
        f"resume  {times} at step {NEAR_STEP}, {times} at step {settings.far_step} of an epoch",
        f"folder  {folder}",
    ]


def _measure(config: Config, settings: CheckpointSettings, folder: Path, command: list[str]) -> dict[str, Any]:
    """The report. Raises SideFailed, ConfigError."""
    from yoloscale.bench import checkpoint as bench_checkpoint
    from yoloscale.bench import checkpoint_figures
    from yoloscale.bench.machine import describe_machine
    from yoloscale.config.plan import describe
    from yoloscale.launch.prepare import prepare

    config = prepare(config, say)
    resumed = prepare(bench_checkpoint.resumed_config(config, settings.far_step), say)
    folder.mkdir(parents=True)
    cost = bench_checkpoint.measure_cost(config, folder, settings.checkpoints)
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
        "command": shlex.join(command),
        "folder": str(folder),
    }
    return checkpoint_figures.as_json(cost, times, about)


def _resumes(config: Config, settings: CheckpointSettings, folder: Path) -> dict[int, list[float]]:
    """Seconds to the first step, by the step that was resumed at; in turn, so that a slow moment hits both."""
    from yoloscale.bench import checkpoint as bench_checkpoint

    steps = (NEAR_STEP, settings.far_step)
    stored = bench_checkpoint.store_positions(config, folder, steps)
    times = {step: list[float]() for step in steps}
    for number in range(1, settings.repeats + 1):
        for step in steps:
            seconds = bench_checkpoint.measure_resume(stored, step, folder, f"resume-{step}-{number}")
            say(f"{number}/{settings.repeats}  resumed at step {step}: {seconds:.2f} s to the first step")
            times[step].append(seconds)
    return times
