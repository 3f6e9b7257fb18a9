"""What a search looks for besides metrics is measured at the end of a run, which it must not cost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from tests.run_events import lines_of

from yoloscale.config.schema import Config
from yoloscale.config.schema.sweep import SearchConfig, TrialConfig
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.train import finish


def test_a_cost_that_cannot_be_measured_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> float:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(finish.cost, "latency_ms", broken)
    monkeypatch.setattr(finish.cost, "gflops", lambda *_: 2.0)
    run = RunDirectory(tmp_path)
    search = SearchConfig(objectives={"latency_ms": "minimize", "gflops": "minimize"})
    config = Config(trial=TrialConfig(0, "../study.journal", search))
    average, trainer = SimpleNamespace(module=torch.nn.Linear(2, 3)), SimpleNamespace(data={}, device="cpu")
    parts = cast("Any", SimpleNamespace(stepper=SimpleNamespace(average=average), trainer=trainer))
    assert finish._cost(config, run, parts, tmp_path / "best.pt") == {"parameters": 9, "gflops": 2.0}
    assert [event["message"] for event in lines_of(run)] == [
        "latency_ms is not in result.json: RuntimeError: out of memory"
    ]
