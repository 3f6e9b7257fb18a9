from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from yoloscale.config.machine import Machine
from yoloscale.config.sweep import SearchConfig, SweepConfig
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import SweepDirectory, SweepPoint, SweepRecord, write

TWO_CPUS = Machine(gpu_count=0, cpus=2, has_bf16=True)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sweep_of(
    points: Sequence[tuple[str, Sequence[str]]],
    typed: Sequence[str] = (),
    search: SearchConfig | None = None,
    params: Mapping[str, Any] | None = None,
) -> SweepDirectory:
    """`runs/s` with points by name and overrides, none of which was started."""
    sweep = SweepDirectory(Path("runs/s"))
    for name, _ in points:
        sweep.run(name).job.mkdir(parents=True)
        sweep.run(name).config.write_text("epochs: 3\n")
    record = [SweepPoint(index, name, tuple(overrides)) for index, (name, overrides) in enumerate(points)]
    write(sweep, SweepRecord(tuple(typed), tuple(record), SweepConfig(params=dict(params or {}), search=search)))
    return sweep


def finish(run: RunDirectory, fitness: float | None, **more: Any) -> None:
    """What a finished run leaves behind."""
    metrics = {"metrics/precision(B)": 0.5, "metrics/mAP50(B)": (fitness or 0.0) * 1.5}
    result = {"metrics": metrics, "fitness": fitness, "epochs": 3, "images_per_s": 88.13, "seconds": 75.2, **more}
    run.result.write_text(json.dumps(result))
    events.record(run, events.FINISHED, epochs=3, steps=9)


def evaluate(run: RunDirectory, *fitness: float) -> None:
    """What a run leaves behind that was evaluated so often, and goes on."""
    for epoch, value in enumerate(fitness, 1):
        line = {"kind": "eval", "epoch": epoch, "step": epoch, "time": 1.0, "fitness": value, "metrics/mAP50(B)": 0.1}
        with run.metrics.open("a") as file:
            file.write(json.dumps(line) + "\n")
