"""Training for the benchmarks of checkpoints: the run's own steps, loader and checkpointer, step after step."""

from __future__ import annotations

import time
from typing import NamedTuple

import torch

from yoloscale.checkpoint.interval import When
from yoloscale.checkpoint.state import Progress
from yoloscale.config.schema import Config
from yoloscale.data.loader import MicroBatchLoader
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.train.parts import build, choose_device
from yoloscale.worker.train.train import make_checkpointer

EPOCHS = 10_000  # the beginning of a training that is long enough for any measurement


class Step(NamedTuple):
    """When one optimiser step began, in seconds since the Unix epoch, and how long it took."""

    started_at: float
    seconds: float


class Training:
    """The parts of a run, trained step by step from its beginning. All methods are collective."""

    def __init__(self, config: Config, run: RunDirectory, ranks: Ranks) -> None:
        self.device = choose_device(config, ranks)
        steps_group = group.join(ranks, config.cluster.backend or "gloo", self.device, config.cluster.timeout_s)
        self.parts = build(config, run, ranks, self.device, steps_group, StopRequests(), lambda phase: None)
        # the checkpointer that a training has, asked for every checkpoint
        self.checkpointer = make_checkpointer(
            config, run, ranks, self.parts, when=When(automatic=False), save_period=-1
        )
        self.progress = Progress(seed=config.seed, run_id=run.run_id)
        self.progress.position.epochs = EPOCHS
        self._rank = ranks.rank
        is_cuda = self.device.type == "cuda"
        self._loader = MicroBatchLoader(
            self.parts.samples,
            self.parts.order,
            ranks.rank,
            (0, 0),
            lambda epoch: False,
            workers=self.parts.loading.workers,
            pin_memory=is_cuda,
        )

    def run(self, count: int) -> list[Step]:
        """Train so many steps; when each of them ran on this rank."""
        steps = []
        for _ in range(count):
            started_at = time.time()
            self._step()
            self.wait_for_device()
            steps.append(Step(started_at, time.time() - started_at))
        return steps

    def _step(self) -> None:
        position, stepper = self.progress.position, self.parts.stepper
        if position.step == 0:
            stepper.learner.start_epoch(position.epoch, EPOCHS)
            stepper.learner.train_mode()
        step = self.parts.order.step(position.epoch, position.step, self._rank)
        trained = (step.start + step.total) / self.parts.order.samples
        self.parts.schedule.apply(stepper.optimizer, position.epoch, trained, EPOCHS)
        stepper(step, self._loader.__next__, lambda batch: None)
        position.step, position.total = position.step + 1, position.total + 1
        if position.step == self.parts.order.steps:
            position.epoch, position.step = position.epoch + 1, 0

    def wait_for_device(self) -> None:
        """Let a clock that is read next show what was done, not what was asked for."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def close(self) -> None:
        self._loader.close()
