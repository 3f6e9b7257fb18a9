"""Each side of a comparison, started, watched to its end and read. Whatever it starts is gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yoloscale.agent import leftovers
from yoloscale.agent.attempt import Observer
from yoloscale.agent.environment import job_environment
from yoloscale.config.schema import Config, RunConfig
from yoloscale.config.schema.bench import BenchConfig, Measurement, MeasurementConfig
from yoloscale.exit_codes import FINISHED, INTERRUPTED
from yoloscale.launch.here import run_here
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.status import read_result
from yoloscale.runs.tail import last_lines
from yoloscale.system.processes import ChildProcess
from yoloscale.system.variables import BENCH_FILE, MARK

POLL_S = 0.2
STOP_S = 15.0


class SideFailed(Exception):  # noqa: N818 - reads as what happened
    """One side did not get to its end; the message holds the end of its log."""


@dataclass(frozen=True)
class Sample:
    """One measurement of one side."""

    images_per_s: float
    first_step_s: float | None  # from the command to the end of the first optimiser step
    precision: str
    threads: int  # of one process
    workers: int | None = None  # loader processes of one process


def measure_ours(argv: Sequence[str], folder: Path, name: str) -> Sample:
    """Run our command to its end; the launcher is part of what is measured."""
    log = folder / f"{name}.log"
    started = run_side(argv, {}, log)
    run = RunDirectory(folder / name)
    result = read_result(run)
    steps = [float(line["time"]) for line in jsonl.read(run.metrics) if line.get("kind") == "step"]
    training = next((event for event in events.history(run) if isinstance(event, events.TrainingStarted)), None)
    if result is None or training is None or not steps:
        raise SideFailed(ending(name, log))
    launched = json.loads(run.launch_record(1).read_text(encoding="utf-8"))
    return Sample(
        images_per_s=float(result["images_per_s"]),
        first_step_s=steps[0] - started,
        precision=training.precision,
        threads=int(launched["environment"]["OMP_NUM_THREADS"]),
        workers=training.workers,
    )


def measure_yolo(argv: Sequence[str], folder: Path, name: str) -> Sample:
    """Run Ultralytics' command to its end. It looks for updates and fonts on the network no more than ours does."""
    log, measured = folder / f"{name}.log", folder / f"{name}.json"
    started = run_side(argv, {BENCH_FILE: str(measured), "YOLO_OFFLINE": "true"}, log)
    if not measured.exists():
        raise SideFailed(ending(name, log))
    content: dict[str, Any] = json.loads(measured.read_text(encoding="utf-8"))
    first = content.pop("first_step_at")
    return Sample(first_step_s=None if first is None else first - started, **content)


def measure_bare(config: Config, folder: Path, name: str) -> dict[str, Sample]:
    """Run the yardstick under our launcher, with the same ranks; a sample for each way of adding up gradients."""
    content = run_ranks(config, folder, name, MeasurementConfig(Measurement.steps))
    speeds = content.pop("images_per_s")
    return {way: Sample(images_per_s=speed, first_step_s=None, **content) for way, speed in speeds.items()}


def run_ranks(config: Config, folder: Path, name: str, measurement: MeasurementConfig) -> dict[str, Any]:
    """Let ranks measure under our launcher, in the run directory `folder`/`name`; what they have measured.

    Raises SideFailed, ConfigError.
    """
    return measured_here(BenchConfig(**vars(config), bench=measurement), folder, name)


def measured_here(config: RunConfig, folder: Path, name: str) -> dict[str, Any]:
    """Run a run that measures, in `folder`/`name`; `bench` of its result.json. Raises SideFailed, ConfigError."""
    paths = replace(config.paths, runs=str(folder))
    cluster = replace(config.cluster, max_restarts=0)  # what fails here is told, not tried again
    here = replace(config, name=name, paths=paths, cluster=cluster)
    run_lock = create_or_resume(here, [])
    run, outcome = run_lock.run, run_here(run_lock, Observer())
    if outcome.exit_code == INTERRUPTED:
        raise KeyboardInterrupt
    if (failure := outcome.failure) is not None:
        raise SideFailed(f"{name} did not finish: {failure.error}; its log is {run.path / failure.log}")
    result = read_result(run)
    if outcome.exit_code != FINISHED or result is None:
        raise SideFailed(ending(name, run.agent_log(1)))
    measured: dict[str, Any] = result["bench"]
    return measured


def run_side(argv: Sequence[str], variables: Mapping[str, str], log: Path) -> float:
    """Run a command to its end; when it was started, in seconds since the Unix epoch. Raises SideFailed."""
    return run_side_by_side({log: argv}, variables)


def run_side_by_side(argvs: Mapping[Path, Sequence[str]], variables: Mapping[str, str]) -> float:
    """Run commands, by their logs, at the same time until all have ended; when they were started.

    Raises SideFailed for the first that fails; the others are ended, too.
    """
    mark, started = uuid.uuid4().hex, time.time()
    environment = job_environment({**variables, MARK: mark}, os.environ)
    agents = dict[Path, ChildProcess]()
    try:
        for log, argv in argvs.items():
            agents[log] = ChildProcess(argv, environment, log)
        waiting = dict(agents)
        while waiting:
            for log, agent in list(waiting.items()):
                if (exit_code := agent.wait(POLL_S)) is None:
                    continue
                del waiting[log]
                if exit_code != 0:
                    raise SideFailed(ending(log.stem, log))
    except BaseException:
        for agent in agents.values():
            stop_at_once(agent)
        raise
    finally:
        leftovers.kill_all(mark)
    return started


def stop_at_once(agent: ChildProcess) -> None:
    """Ask as an impatient person does, twice; our launcher then ends its ranks at once."""
    for wait_s in (1.0, STOP_S):
        agent.send(signal.SIGINT)
        if agent.wait(wait_s) is not None:
            return


def ending(name: str, log: Path) -> str:
    """What to say of a side that did not get to its end."""
    return "\n  ".join([f"{name} did not finish; the end of {log}:", *last_lines(log, 20)])
