"""Learning rate and momentum as a function of the position, so that a scheduler has no state to save.

The formulas are Ultralytics' (engine/trainer.py: one_cycle, linear, warm-up), with the position counted in epochs of
samples instead of batches: the same on any number of ranks and with any accumulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch.optim import Optimizer


@dataclass(frozen=True)
class Schedule:
    """Settings of the schedule.

    Args:
        lrf: final learning rate as a fraction of the initial one.
        warmup_epochs: may be fractional; at least the last epoch of a run is left for regular training.
        warmup_bias_lr: learning rate of the biases at the very start; all others start at 0.
    """

    lrf: float
    cosine: bool
    warmup_epochs: float
    warmup_momentum: float
    warmup_bias_lr: float
    momentum: float

    def factor(self, epoch: float, epochs: float) -> float:
        """Multiple of the initial learning rate in `epoch` (from 0) of `epochs`."""
        if self.cosine:
            return max((1 - math.cos(epoch * math.pi / epochs)) / 2, 0) * (self.lrf - 1) + 1
        return max(1 - epoch / epochs, 0) * (1.0 - self.lrf) + self.lrf

    def apply(
        self,
        optimizer: Optimizer,
        epoch: int,
        fraction: float,
        epochs: float,
        scale: float = 1.0,
        *,
        share: float | None = None,
    ) -> None:
        """Set every group's learning rate (and momentum) for a step that ends `fraction` of the way through `epoch`.

        `scale` multiplies all learning rates; recovery from a run of non-finite steps lowers it. `share`: how much of
        the schedule is over, where a time limit decides and not the epochs; at 1 the learning rate is the final one.
        """
        warmup = min(self.warmup_epochs, max(epochs - 1, 0))
        place = epoch + fraction
        for group in optimizer.param_groups:
            factor = self.factor(epoch, epochs) if share is None else self.factor(share, 1.0)
            target = group["initial_lr"] * factor
            if place < warmup:
                start = self.warmup_bias_lr if group.get("param_group") == "bias" else 0.0
                target = float(np.interp(place, [0, warmup], [start, target]))
                if "momentum" in group:
                    group["momentum"] = float(np.interp(place, [0, warmup], [self.warmup_momentum, self.momentum]))
            elif "momentum" in group:
                group["momentum"] = self.momentum
            group["lr"] = target * scale
