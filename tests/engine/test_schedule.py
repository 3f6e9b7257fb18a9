"""The schedule against the code of Ultralytics' own trainer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from yoloscale.engine.schedule import Schedule

LR, LRF, WARMUP_BIAS, WARMUP_MOMENTUM, MOMENTUM = 0.01, 0.05, 0.1, 0.8, 0.937


def optimizer() -> torch.optim.Optimizer:
    weight, bias = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    groups = [{"params": [weight], "param_group": "weight"}, {"params": [bias], "param_group": "bias"}]
    made = torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM)
    for group in made.param_groups:
        group["initial_lr"] = group["lr"]
    return made


def ultralytics(epochs: int, warmup_epochs: float, cosine: bool) -> Any:
    """A trainer of Ultralytics with just what its schedule reads."""
    from ultralytics.engine.trainer import BaseTrainer

    trainer = BaseTrainer.__new__(BaseTrainer)
    trainer.args = SimpleNamespace(cos_lr=cosine, lrf=LRF, warmup_epochs=warmup_epochs)
    trainer.epochs = epochs
    trainer.optimizer = optimizer()
    trainer._setup_scheduler()
    return trainer


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize(("epochs", "warmup"), [(10, 3.0), (10, 2.5), (2, 3.0), (1, 3.0), (10, 0.0)])
def test_learning_rate_and_momentum_are_ultralytics(cosine: bool, epochs: int, warmup: float) -> None:
    """With 8 batches an epoch: Ultralytics' batch number i is the position i / 8."""
    batches = 8
    trainer = ultralytics(epochs, warmup, cosine)
    warmup_batches = trainer._get_warmup_iterations(batches)
    schedule = Schedule(LRF, cosine, warmup, WARMUP_MOMENTUM, WARMUP_BIAS, MOMENTUM)
    ours = optimizer()
    for number in range(epochs * batches):
        epoch = number // batches
        schedule.apply(ours, epoch, (number % batches) / batches, epochs)
        for group, start in zip(ours.param_groups, (0.0, WARMUP_BIAS), strict=True):
            target, momentum = LR * trainer.lf(epoch), MOMENTUM
            if number <= warmup_batches and warmup_batches:
                target = np.interp(number, [0, warmup_batches], [start, target])
                momentum = np.interp(number, [0, warmup_batches], [WARMUP_MOMENTUM, MOMENTUM])
            assert group["lr"] == pytest.approx(target, rel=1e-12)
            assert group["momentum"] == pytest.approx(momentum, rel=1e-12)


def test_the_last_epoch_is_not_warm_up() -> None:
    schedule, ours = Schedule(LRF, False, 3.0, WARMUP_MOMENTUM, WARMUP_BIAS, MOMENTUM), optimizer()
    schedule.apply(ours, 1, 0.0, 2)
    assert ours.param_groups[0]["lr"] == pytest.approx(LR * (0.5 * (1 - LRF) + LRF))
    assert ours.param_groups[0]["momentum"] == MOMENTUM


def test_it_has_no_memory() -> None:
    schedule = Schedule(LRF, True, 3.0, WARMUP_MOMENTUM, WARMUP_BIAS, MOMENTUM)
    walked, jumped = optimizer(), optimizer()
    for epoch in range(8):
        for fraction in (0.25, 0.5, 1.0):
            schedule.apply(walked, epoch, fraction, 10)
    schedule.apply(jumped, 7, 1.0, 10)
    assert [group["lr"] for group in walked.param_groups] == [group["lr"] for group in jumped.param_groups]


def test_recovery_scales_every_rate() -> None:
    schedule, ours = Schedule(LRF, True, 0.0, WARMUP_MOMENTUM, WARMUP_BIAS, MOMENTUM), optimizer()
    schedule.apply(ours, 3, 0.5, 10)
    full = [group["lr"] for group in ours.param_groups]
    schedule.apply(ours, 3, 0.5, 10, scale=0.25)
    assert [group["lr"] for group in ours.param_groups] == pytest.approx([rate / 4 for rate in full])


def test_groups_without_momentum_get_none() -> None:
    made = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    made.param_groups[0]["initial_lr"] = LR
    Schedule(LRF, True, 3.0, WARMUP_MOMENTUM, WARMUP_BIAS, MOMENTUM).apply(made, 0, 0.5, 10)
    assert "momentum" not in made.param_groups[0]
