"""What `yoloscale bench checkpoint` starts: a training that saves, and trainings that are taken up again."""

from __future__ import annotations

import os
import shutil
import sys
import time
import uuid
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from yoloscale.agent import leftovers
from yoloscale.agent.environment import job_environment
from yoloscale.bench.sides import POLL_S, SideFailed, ending, run_ranks, stop_at_once
from yoloscale.config.freeze import freeze, load
from yoloscale.config.plan import world_size
from yoloscale.config.schema import Config, DataConfig, LoggerConfig, OriginConfig, ShapesConfig
from yoloscale.config.schema.bench import Measurement, MeasurementConfig
from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.processes import ChildProcess
from yoloscale.system.variables import MARK

IMAGE_SIZE = 64  # of the images on disk, in pixels; they are trained on at the config's imgsz
STEPS_AFTER = 64  # what an epoch has beyond the last step that is resumed at


def measure_cost(config: Config, folder: Path, checkpoints: int) -> dict[str, Any]:
    """The samples of `worker/bench/checkpoint_cost.py`."""
    return run_ranks(config, folder, "cost", MeasurementConfig(Measurement.checkpoints, checkpoints=checkpoints))


def resumed_config(config: Config, far_step: int) -> Config:
    """The same model on as many small images as it takes for an epoch of more than `far_step` steps, one a rank each.

    `config` is resolved.
    """
    ranks = world_size(config)
    shapes = ShapesConfig(train_images=ranks * (far_step + STEPS_AFTER), val_images=8, image_size=IMAGE_SIZE)
    return replace(
        config,
        data=DataConfig("shapes", "shapes", shapes),
        origin=OriginConfig(),  # another dataset than the one that was opened for `config`
        logger=LoggerConfig(),
        batch=ranks,
        nbs=ranks,
        cache=False,
        fraction=1.0,
        classes=None,
        plots=False,
    )


def store_positions(config: Config, folder: Path, steps: tuple[int, ...]) -> RunDirectory:
    """A run directory with a checkpoint at each of the steps of its first epoch."""
    run_ranks(config, folder, "positions", MeasurementConfig(Measurement.positions, positions=list(steps)))
    run = RunDirectory(folder / "positions")
    measured = load(run.config)
    training = Config(**{field.name: getattr(measured, field.name) for field in fields(Config)})
    freeze(training, run.config)  # what goes on from there trains
    return run


def measure_resume(stored: RunDirectory, step: int, folder: Path, name: str) -> float:
    """Seconds from the start of `yoloscale resume` to the end of the first optimiser step after `step`.

    It goes on in a copy of the run that has this checkpoint only. Raises SideFailed.
    """
    run = RunDirectory(folder / name)
    run.checkpoints.mkdir(parents=True)
    shutil.copy(stored.config, run.config)
    checkpoint = f"step-{step:09d}"
    shutil.copytree(stored.checkpoints / checkpoint, run.checkpoints / checkpoint)
    log, mark = folder / f"{name}.log", uuid.uuid4().hex
    argv = [sys.executable, "-m", "yoloscale", "resume", str(run.path)]
    started = time.time()
    agent = ChildProcess(argv, job_environment({MARK: mark}, os.environ), log)
    try:
        first = _first_step(run, agent)
    finally:
        stop_at_once(agent)
        leftovers.kill_all(mark)
    if first is None:
        raise SideFailed(ending(name, log))
    if first["step"] != step + 1:
        raise SideFailed(f"{name} went on at step {first['step']} instead of {step + 1}; its log is {log}")
    shutil.rmtree(run.path)
    return float(first["time"]) - started


def _first_step(run: RunDirectory, agent: ChildProcess) -> dict[str, Any] | None:
    """The first line about a step, once it is there; None if the command ended before."""
    while True:
        exit_code = agent.wait(POLL_S)
        first = next((line for line in jsonl.read(run.metrics) if line.get("kind") == "step"), None)
        if first is not None or exit_code is not None:
            return first
