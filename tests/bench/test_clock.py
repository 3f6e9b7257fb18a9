from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.fake_time import FakeTime

from yoloscale.system.variables import BENCH_FILE
from yoloscale.yolo import training_clock
from yoloscale.yolo.training_clock import CALLBACKS, Clock

FAKE = FakeTime()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fresh = Clock()
    monkeypatch.setattr(training_clock, "clock", fresh)
    monkeypatch.setattr(training_clock, "time", FAKE)
    return fresh


@pytest.fixture
def trainer() -> Any:
    """What the callbacks read of a trainer: 10 images in batches of 4."""
    import torch

    assert torch.get_num_threads() >= 1
    return SimpleNamespace(
        train_loader=SimpleNamespace(dataset=range(10), num_workers=0),
        batch_size=4,
        ema=SimpleNamespace(updates=0),
        args=SimpleNamespace(amp=True),
        amp=False,
    )


def run_epoch(trainer: Any, seconds: float) -> None:
    CALLBACKS["on_train_epoch_start"](trainer)
    for _ in range(3):
        FAKE.sleep(seconds)
        CALLBACKS["on_train_batch_end"](trainer)


def test_images_are_counted_without_the_first_batch_and_the_pause_between_epochs(clock: Clock, trainer: Any) -> None:
    run_epoch(trainer, 0.01)
    assert clock.images == 4 + 2
    between = clock.seconds
    FAKE.sleep(0.3)  # evaluation
    run_epoch(trainer, 0.01)
    assert clock.images == 4 + 2 + 10
    assert (between, clock.seconds) == (pytest.approx(0.02), pytest.approx(0.05))


def test_the_first_step_is_when_the_weights_first_moved(clock: Clock, trainer: Any) -> None:
    run_epoch(trainer, 0.0)
    assert clock.first_step_at is None
    trainer.ema.updates = 1
    run_epoch(trainer, 0.0)
    first = clock.first_step_at
    run_epoch(trainer, 0.0)
    assert first is not None
    assert first == clock.first_step_at
    assert abs(first - time.time()) < 100


@pytest.mark.parametrize(
    ("amp", "active", "name"), [(True, False, "fp32"), (True, True, "fp16"), ("bf16", True, "bf16")]
)
def test_the_measurement_names_the_precision_that_was_used(
    amp: Any, active: bool, name: str, clock: Clock, trainer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BENCH_FILE, str(tmp_path / "measured.json"))
    trainer.args.amp, trainer.amp = amp, active
    run_epoch(trainer, 0.001)
    CALLBACKS["on_train_end"](trainer)
    measured = json.loads((tmp_path / "measured.json").read_text())
    assert measured["precision"] == name
    assert measured["images_per_s"] == pytest.approx(clock.images / clock.seconds)


def test_only_the_first_rank_writes(trainer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BENCH_FILE, str(tmp_path / "measured.json"))
    monkeypatch.setenv("RANK", "1")
    CALLBACKS["on_train_end"](trainer)
    assert not (tmp_path / "measured.json").exists()
