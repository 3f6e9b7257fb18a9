"""What callbacks see of a run: Ultralytics' trainer object, with the attributes that its own loop would have set.

The objects are those that are trained, so what a callback changes in the model, the optimiser or the arguments is its
own affair. Reads `trainer.stop`, which all ranks then agree on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch.optim import Optimizer
from ultralytics.utils.torch_utils import EarlyStopping

from yoloscale.checkpoint.state import Progress
from yoloscale.config.check.callbacks import OF_FIRST_RANK
from yoloscale.config.plan import BatchPlan
from yoloscale.data.order import SampleOrder


class TrainerView:
    """`engine.protocols.Callbacks` for a trainer that has callbacks. Every rank has one and calls it alike.

    Args:
        trainer: from `parts.make_trainer`, set up, with the registry of `callbacks.registry`.
        stepper: the engine's, which holds what is trained.
    """

    def __init__(self, trainer: Any, stepper: Any, order: SampleOrder, plan: BatchPlan, *, is_first: bool) -> None:
        self._trainer, self._is_first = trainer, is_first
        loader = _Batches(trainer.train_loader.dataset, order, plan.actual.per_rank)
        now = time.time()
        attributes = {
            "model": stepper.learner.module,
            "ema": _Average(stepper.average),
            "optimizer": stepper.optimizer,
            "scheduler": SimpleNamespace(get_last_lr=lambda: _rates(stepper.optimizer)),
            "scaler": stepper.scaler,
            "amp": stepper.scaler.is_enabled(),
            "train_loader": loader,
            "world_size": order.world_size,
            "batch_size": plan.global_batch,
            "accumulate": plan.actual.accumulate,
            "save_period": trainer.args.save_period,
            "last": Path(trainer.wdir) / "last.pt",
            "best": Path(trainer.wdir) / "best.pt",
            "stopper": EarlyStopping(patience=trainer.args.patience),
            "stop": False,
            "epoch": 0,
            "start_epoch": 0,
            "train_time_start": now,
            "epoch_time_start": now,
            **dict.fromkeys(("epoch_time", "best_fitness", "fitness", "loss", "loss_items", "tloss", "lr")),
        }
        for name, value in attributes.items():
            setattr(trainer, name, value)
        trainer.metrics = {}
        trainer.args.batch = plan.global_batch
        self._batches = 0  # of the epoch, on this rank
        self._wants_batches = any(trainer.callbacks[f"on_train_batch_{when}"] for when in ("start", "end"))

    def train_start(self, progress: Progress) -> None:
        self._at(progress)
        self._trainer.start_epoch = progress.position.epoch
        self._trainer.best_fitness = progress.best.fitness
        if progress.best.fitness is not None:
            self._trainer.stopper.best_fitness = progress.best.fitness
            self._trainer.stopper.best_epoch = progress.best.epoch
        self._trainer.train_time_start = time.time() - progress.clock
        self._trainer.epoch_time_start = time.time()
        self._tell("on_pretrain_routine_end")
        self._tell("on_train_start")

    def epoch_start(self, progress: Progress) -> None:
        self._at(progress)
        self._batches, self._trainer.tloss = 0, None
        self._tell("on_train_epoch_start")

    def batch_start(self) -> None:
        self._tell("on_train_batch_start")

    def batch_end(self, loss: torch.Tensor, parts: Mapping[str, torch.Tensor]) -> None:
        trainer = self._trainer
        trainer.loss, trainer.loss_items = loss.detach(), {name: value.detach() for name, value in parts.items()}
        trainer.loss_names = tuple(parts)
        count, before = self._batches, trainer.tloss or {}
        trainer.tloss = {
            name: (before.get(name, 0.0) * count + value) / (count + 1) for name, value in trainer.loss_items.items()
        }
        self._batches += 1
        if self._wants_batches:
            self._tell("on_train_batch_end")

    def epoch_end(self, progress: Progress) -> None:
        self._at(progress)
        self._trainer.lr = {f"lr/pg{number}": rate for number, rate in enumerate(_rates(self._trainer.optimizer))}
        self._tell("on_train_epoch_end")

    def evaluated(self, metrics: Mapping[str, float], best: float | None) -> None:
        self._measured(metrics)
        self._trainer.best_fitness = best
        stopper = self._trainer.stopper  # it decides nothing here: the loop does
        if best is not None and (best > stopper.best_fitness or stopper.best_fitness == 0):
            stopper.best_fitness, stopper.best_epoch = best, self._trainer.epoch + 1

    def saved(self) -> None:
        self._tell("on_model_save")

    @property
    def wants_files(self) -> bool:
        return self._is_first and bool(self._trainer.callbacks["on_model_save"])

    def fit_epoch_end(self) -> None:
        now = time.time()
        self._trainer.epoch_time = now - self._trainer.epoch_time_start
        self._trainer.epoch_time_start = now
        self._tell("on_fit_epoch_end")

    @property
    def is_stopped(self) -> bool:
        return bool(self._trainer.stop)

    def finished(self, metrics: Mapping[str, float]) -> None:
        """The final evaluation's metrics are an epoch more, as Ultralytics has it; then the end."""
        self._measured(metrics)
        self._trainer.epoch += 1
        self._tell("on_fit_epoch_end")
        self._trainer.epoch -= 1
        self._tell("on_train_end")

    def teardown(self) -> None:
        self._tell("teardown")

    def _measured(self, metrics: Mapping[str, float]) -> None:
        self._trainer.fitness = metrics.get("fitness")
        self._trainer.metrics = {name: value for name, value in metrics.items() if name != "fitness"}

    def _at(self, progress: Progress) -> None:
        self._trainer.epoch = progress.position.epoch
        self._trainer.epochs = self._trainer.args.epochs = progress.position.epochs

    def _tell(self, event: str) -> None:
        if self._is_first or event not in OF_FIRST_RANK:
            self._trainer.run_callbacks(event)


def _rates(optimizer: Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


class _Average:
    """The averaged model, under the names of Ultralytics' ModelEMA."""

    enabled = True

    def __init__(self, average: Any) -> None:
        self._average, self.ema = average, average.module

    @property
    def updates(self) -> int:
        return int(self._average.updates)


class _Batches(SimpleNamespace):
    """The training set, and how many batches of it this rank trains in an epoch."""

    def __init__(self, dataset: Any, order: SampleOrder, per_rank: int) -> None:
        super().__init__(dataset=dataset, batch_size=per_rank)
        self._length = -(-order.used // order.batch)

    def __len__(self) -> int:
        return self._length
