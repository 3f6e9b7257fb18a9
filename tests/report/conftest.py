from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import write_event

from yoloscale.config.schema.sweep import SearchConfig, SweepConfig
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import SweepDirectory, SweepPoint, SweepRecord, write


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Synthetic:
    """Folders of sweeps that never were, written file by file."""

    @staticmethod
    def sweep(
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

    @staticmethod
    def grid(**values: Sequence[str]) -> SweepDirectory:
        """Every combination, as `train -m` names and orders them."""
        points = [""]
        for key, words in values.items():
            points = [f"{point},{key}={word}".lstrip(",") for point in points for word in words]
        return Synthetic.sweep([(point, point.split(",")) for point in points])

    @staticmethod
    def finish(run: RunDirectory, fitness: float, **more: Any) -> None:
        """What a finished run leaves behind."""
        metrics = {"metrics/precision(B)": 0.5, "metrics/mAP50(B)": round(fitness * 1.5, 6)}
        result = {"metrics": metrics, "fitness": fitness, "epochs": 3, "images_per_s": 88.13, "seconds": 75.2, **more}
        run.result.write_text(json.dumps(result))
        events.append(run, events.Finished(epochs=3, steps=9))

    @staticmethod
    def evaluate(run: RunDirectory, *fitness: float) -> None:
        """What a run leaves behind that was evaluated so often, and has not ended."""
        for epoch, value in enumerate(fitness, 1):
            line = {"kind": "eval", "epoch": epoch, "step": epoch, "time": 1.0, "fitness": value}
            jsonl.append(run.metrics, {**line, "metrics/mAP50(B)": value / 2, "val/box_loss": 1.0})

    @staticmethod
    def fail(run: RunDirectory, error: str) -> None:
        """What a run leaves behind that nobody tries again."""
        events.append(run, events.AttemptLaunched(attempt=1, host="host", pid=1))
        write_event(run, "failed", attempt=1, error=error, gave_up=True)
        events.append(run, events.Exited(attempt=1, exit_code=1))


@pytest.fixture
def synthetic() -> type[Synthetic]:
    return Synthetic
