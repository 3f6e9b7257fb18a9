"""A run of the real loop, step, checkpointer and store around a toy model: in seconds, without Ultralytics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn
from torch.distributed import ProcessGroup

from yoloscale.checkpoint.interval import When
from yoloscale.checkpoint.state import Progress
from yoloscale.checkpoint.store import Retention
from yoloscale.data.order import SampleOrder
from yoloscale.data.seeds import derive
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.ema import AveragedModel
from yoloscale.engine.loop import Limits, Loop, Outcome
from yoloscale.engine.precision import Precision
from yoloscale.engine.schedule import Schedule
from yoloscale.engine.step import Stepper
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.train.checkpointer import RunCheckpointer

AFTER_EPOCHS, NEWEST = When(automatic=False), Retention(best=False)


class ToyLearner:
    """`engine.protocols.Learner`: convolution, batch norm and dropout; the loss is a sum over the images."""

    reduction: Literal["sum", "mean"] = "sum"

    def __init__(self, more: int = 0) -> None:
        """`more`: so many numbers that take no part in the loss."""
        torch.manual_seed(0)
        self.module = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(4 * 36, 2)
        )
        if more:
            self.module.register_parameter("more", nn.Parameter(torch.zeros(more)))
        self.epochs: list[tuple[int, int]] = []

    def preprocess(self, batch: dict[str, Any]) -> dict[str, Any]:
        return batch

    def loss(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss = (self.module(batch["img"]) - batch["target"]).square().sum()
        return loss, {"toy_loss": loss.detach() / len(batch["img"])}

    def train_mode(self) -> None:
        self.module.train()

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self.epochs.append((epoch, epochs))


class Notes:
    """`engine.protocols.Observer` that remembers."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.epochs: list[dict[str, float]] = []
        self.measurements: list[dict[str, float]] = []
        self.warnings: list[str] = []
        self.rollbacks: list[events.RolledBack] = []
        self.evaluations: list[int] = []  # epochs
        self.told: list[str] = []
        self.traces: list[dict[str, Any]] = []

    def step(self, record: Mapping[str, float]) -> None:
        self.steps.append(dict(record))

    def epoch(self, record: Mapping[str, float]) -> None:
        self.epochs.append(dict(record))

    def measured(self, record: Mapping[str, float]) -> None:
        self.measurements.append(dict(record))

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self.told.append("warn")

    def rolled_back(self, message: str, *, step_from: int, step_to: int) -> None:
        self.warnings.append(message)
        self.rollbacks.append(events.RolledBack(message=message, step_from=step_from, step_to=step_to))
        self.told.append("rolled_back")

    def pruned(self, epoch: int) -> None:
        self.told.append("pruned")

    def evaluated(self, epoch: int, metrics: dict[str, float], seconds: float) -> None:
        self.evaluations.append(epoch)
        self.told.append("evaluated")

    def batch(self, step: int, batch: dict[str, Any]) -> None: ...

    def trace(self, record: Mapping[str, Any]) -> None:
        self.traces.append(dict(record))


class ToyRun:
    """One start of a toy run in a folder; a second one on the same folder resumes.

    Args:
        samples: images; 21 with batch 4 and accumulation 2 are 3 steps per epoch, the last one short.
        poison: (epoch, sample) → whether that image is NaN.
        fitness: what each evaluation says; None: how well the averaged model does.
        ranks, group: of a process among others, as `launch_ranks` gives them.
        more: so many more parameters, which make the state larger.
        ahead: the loader delivers from so many optimiser steps after the position on.
        stop_before: called with the number of steps done before each micro-batch is loaded; may use the requests.
    """

    def __init__(
        self,
        folder: Path,
        *,
        epochs: int = 3,
        samples: int = 21,
        poison: Callable[[int, int], bool] = lambda epoch, sample: False,
        fitness: list[float] | None = None,
        stop_before: Callable[[ToyRun, int], None] = lambda run, steps: None,
        reduction: Literal["sum", "mean"] = "sum",
        exact: bool = False,
        when: When = AFTER_EPOCHS,
        retention: Retention = NEWEST,
        more: int = 0,
        ahead: int = 0,
        ranks: Ranks | None = None,
        group: ProcessGroup | None = None,
        is_hopeless: Callable[[int, Mapping[str, float]], bool] = lambda epoch, metrics: False,
        hosts: Sequence[str] = ("this host",),
        trace: bool = True,
        callbacks: Any = None,
        **limits: Any,
    ) -> None:
        self.directory, self.ranks = RunDirectory(folder), ranks or Ranks()
        folder.mkdir(exist_ok=True)
        self.notes, self.requests, self.learner = Notes(), StopRequests(), ToyLearner(more)
        self.learner.reduction = reduction
        self.published: list[tuple[str, int]] = []
        self._poison, self._fitness, self._stop_before = poison, list(fitness or []), stop_before
        self._ahead = ahead
        self.order = SampleOrder(samples, batch=4, world_size=self.ranks.world_size, accumulate=2, seed=7)
        self.stepper = Stepper(
            self.learner,
            AveragedModel(self.learner.module),
            torch.optim.AdamW(self.learner.module.parameters(), lr=0.01),
            Precision(None, "cpu"),
            self.requests,
            group,
            seed=7,
            channels_last=False,
            exact_reduce=exact,
        )
        for parameters in self.stepper.optimizer.param_groups:
            parameters["initial_lr"] = parameters["lr"]
        self._checkpointer = RunCheckpointer(
            self.directory,
            self.stepper,
            self.ranks,
            self._publish,
            retention=retention,
            when=when,
            save_period=-1,
        )
        progress = self._checkpointer.restore()
        if progress is None:
            progress = Progress(seed=7)
            progress.position.epochs = epochs
        given = {"hours": None, "patience": 0, "evaluate_every_epoch": True, "save": True, "trace": trace, **limits}
        self.loop = Loop(
            self.stepper,
            self.order,
            Schedule(0.01, True, 1.0, 0.8, 0.1, 0.9),
            Limits(**given),
            rank=self.ranks.rank,
            progress=progress,
            open_loader=self._open,
            evaluation=self._evaluate,
            checkpointer=self._checkpointer,
            observer=self.notes,
            requests=self.requests,
            hosts=hosts,
            is_hopeless=is_hopeless,
            callbacks=callbacks,
        )

    def run(self) -> Outcome:
        try:
            return self.loop.run()
        finally:
            self._checkpointer.close()  # as a rank does, however it ends

    def _open(self, at: Progress) -> Callable[[], dict[str, Any]]:
        epoch, first = at.position.epoch, at.position.step + self._ahead

        def batches() -> Any:
            start = (epoch, first)
            while True:
                for index in range(start[1], self.order.steps):
                    for micro in self.order.step(start[0], index, self.ranks.rank).micro_batches:
                        yield self._batch(start[0], micro.samples)
                start = (start[0] + 1, 0)

        return batches().__next__  # type: ignore[no-any-return]

    def _batch(self, epoch: int, samples: tuple[int, ...]) -> dict[str, Any]:
        self._stop_before(self, self.loop.progress.position.total)
        images, targets = [], []
        for sample in samples:
            generator = torch.Generator().manual_seed(derive("toy", epoch, sample))
            images.append(torch.randn(3, 8, 8, generator=generator))
            if self._poison(epoch, sample):
                images[-1][0, 0, 0] = float("nan")
            targets.append(images[-1].nan_to_num().mean() * torch.tensor([1.0, -1.0]))
        return {"img": torch.stack(images), "target": torch.stack(targets), "sample_id": list(samples)}

    def _evaluate(self, module: nn.Module) -> dict[str, float]:
        assert not module.training
        if self._fitness:
            return {"fitness": self._fitness.pop(0)}
        with torch.no_grad():
            generator = torch.Generator().manual_seed(1)
            return {"fitness": 1 / (1 + float(module(torch.randn(8, 3, 8, 8, generator=generator)).square().sum()))}

    def _publish(self, metrics: dict[str, float], epoch: int) -> Callable[[Path], None]:
        return lambda path: self.published.append((path.name, epoch))

    def state(self) -> dict[str, torch.Tensor]:
        """All tensors that a step changes, by name."""
        found: dict[str, torch.Tensor] = {}

        def walk(value: Any, name: str) -> None:
            if isinstance(value, torch.Tensor):
                found[name] = value
            elif isinstance(value, Mapping):
                for key, item in value.items():
                    walk(item, f"{name}.{key}")
            elif isinstance(value, (int, float)):
                found[name] = torch.tensor(float(value), dtype=torch.float64)

        walk(self.stepper.state(), "state")
        return found


@pytest.fixture
def toy_run(tmp_path: Path) -> Iterator[Callable[..., ToyRun]]:
    """`toy_run(**options)`: a start of the run in tmp_path/run; `folder=` another one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield lambda folder="run", **options: ToyRun(tmp_path / folder, **options)
    torch.set_num_threads(threads)
