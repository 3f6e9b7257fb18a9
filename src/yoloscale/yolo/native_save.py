"""Ultralytics' own checkpoint, `trainer.save_model()`, of the state of a run of ours: for measuring what it costs."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class NativeSave:
    """Writes last.pt, and best.pt if asked to, as `yolo train` does after an epoch: in the loop, which waits for it.

    Args:
        trainer: the run's trainer; it is not changed.
        stepper: the engine's, whose averaged model is Ultralytics' EMA.
        folder: last.pt and best.pt are written there; it is made.
    """

    def __init__(self, trainer: Any, stepper: Any, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._trainer = copy(trainer)
        self._trainer.ema = SimpleNamespace(ema=stepper.average.module, updates=stepper.average.updates)
        self._trainer.optimizer, self._trainer.scaler = stepper.optimizer, stepper.scaler
        self._trainer.epoch, self._trainer.save_period = 0, -1
        self._trainer.stopper = SimpleNamespace(best_fitness=0.5, best_epoch=0)
        self._trainer.metrics = {}
        self._trainer.wdir = folder
        self._trainer.last, self._trainer.best = folder / "last.pt", folder / "best.pt"

    def __call__(self, *, best: bool) -> None:
        """Blocks until the files are written."""
        self._trainer.best_fitness, self._trainer.fitness = 0.5, 0.5 if best else 0.25
        self._trainer.save_model()

    @property
    def file_bytes(self) -> int:
        return int(self._trainer.last.stat().st_size)
