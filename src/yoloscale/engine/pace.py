"""How fast and how well it goes: means of an epoch, images per second of training."""

from __future__ import annotations

import time

from torch.optim import Optimizer

from yoloscale.checkpoint.state import Position, Progress
from yoloscale.engine.step import StepOutcome


class Pace:
    """Collects step outcomes into records for people and loggers. Times training only: not set-up, not evaluation.

    The first step of a process is not timed: it warms kernels and loaders up.
    """

    def __init__(self) -> None:
        self._seconds = self._images = 0.0
        self._epoch_seconds = self._epoch_images = 0.0
        self._last: float | None = None
        self._outcome: StepOutcome | None = None
        self._step_s = 0.0
        self._steps = 0
        self._warm = False

    @property
    def images_per_s(self) -> float:
        """Training images per second over all ranks since the second step of this process."""
        return self._images / self._seconds if self._seconds else 0.0

    @property
    def mean_step_s(self) -> float:
        """Seconds of a step since the second one of this process; 0 before."""
        return self._seconds / self._steps if self._steps else 0.0

    def start_epoch(self) -> None:
        self._epoch_seconds = self._epoch_images = 0.0
        self._last = time.perf_counter()

    def step(self, images: int, outcome: StepOutcome, means: dict[str, float]) -> None:
        """Note a finished step of `images` images over all ranks; add its losses to the epoch's sums in `means`."""
        now = time.perf_counter()
        assert self._last is not None
        seconds = now - self._last
        if self._warm:
            self._seconds += seconds
            self._images += images
            self._steps += 1
            self._epoch_seconds += seconds
            self._epoch_images += images
        self._warm, self._last, self._outcome, self._step_s = True, now, outcome, seconds
        if outcome.applied:
            for name, value in (("images", 1.0), *outcome.losses.items()):
                means[name] = means.get(name, 0.0) + value * images

    @property
    def _epoch_images_per_s(self) -> float:
        return self._epoch_images / self._epoch_seconds if self._epoch_seconds else 0.0

    def record(self, position: Position, optimizer: Optimizer) -> dict[str, float]:
        """What a logger gets after a step. `data_s`: how long the rank that waited longest for its images did so;
        `data_share`: which part of the step that was."""
        assert self._outcome is not None
        data_s = float(self._outcome.times[:, 0].max())
        return {
            "step": position.total,
            "epoch": position.epoch + 1,
            "epoch_step": position.step,
            "images_per_s": round(self._epoch_images_per_s, 2),
            "step_s": round(self._step_s, 4),
            "data_s": round(data_s, 4),
            "data_share": round(min(data_s / self._step_s, 1.0), 4) if self._step_s else 0.0,
            "grad_norm": self._outcome.norm,
            **{f"train/{name}": value for name, value in self._outcome.losses.items()},
            **_rates(optimizer),
        }

    def epoch_record(self, progress: Progress, optimizer: Optimizer) -> dict[str, float]:
        """What results.csv gets of the training part of an epoch: means per image over the epoch."""
        images = progress.means.get("images", 1.0)
        means = {f"train/{name}": total / images for name, total in progress.means.items() if name != "images"}
        return {
            "step": progress.position.total,
            **means,
            **_rates(optimizer),
            "images_per_s": self._epoch_images_per_s,
        }


def _rates(optimizer: Optimizer) -> dict[str, float]:
    return {f"lr/pg{number}": group["lr"] for number, group in enumerate(optimizer.param_groups)}
