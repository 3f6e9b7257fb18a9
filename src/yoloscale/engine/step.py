"""One optimiser step: micro-batches, one all-reduce, clip, update, average."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
import torch.distributed as dist
from torch.optim import Optimizer

from yoloscale.data.order import OptimiserStep
from yoloscale.data.seeds import derive, seed_all
from yoloscale.distributed.gradients import FlatGradients
from yoloscale.distributed.heartbeat import COMPUTING, HEARTBEAT, LOADING, UPDATING
from yoloscale.distributed.peers import PEERS
from yoloscale.engine.clock import StepClock
from yoloscale.engine.ema import AveragedModel
from yoloscale.engine.precision import Precision
from yoloscale.engine.protocols import Batch, Learner
from yoloscale.engine.replicas import fingerprint
from yoloscale.engine.slow_ranks import Times
from yoloscale.engine.stop_requests import REQUESTS, Stop, StopRequests, agree

MAXIMUM_NORM = 10.0  # Ultralytics clips gradients at this 2-norm
PARTS = REQUESTS + 17  # floats that travel with the gradients: requests, samples, loss, up to 15 named parts of it,
EXTRA = 2  # and a caller's own
NUMBERS = PARTS + EXTRA

MicroBatch = tuple[torch.Tensor, dict[str, torch.Tensor]]  # the loss and its parts, detached
MicroBatchDone = Callable[[torch.Tensor, dict[str, torch.Tensor]], None]


@dataclass
class StepOutcome:
    """What all ranks agree has happened in a step.

    `losses` are means per image over the whole step, `loss` the sum that was differentiated, `norm` the gradients'
    norm before clipping. `applied` is False if the loss or a gradient was not finite and the update was left out.
    `save`: some rank was asked for a checkpoint. `times`: of every rank, in rank order. `extra`: summed over the ranks.
    """

    stop: Stop
    save: bool
    loss: float
    norm: float
    losses: dict[str, float]
    applied: bool
    times: Times
    extra: tuple[float, ...]
    samples: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)  # this rank's (micro-batch, sample ids)
    last: MicroBatch | None = None  # of this rank; None where it had none


class Stepper:
    """Performs optimiser steps; holds what they change: model, averaged model, optimiser, gradient scaler."""

    def __init__(
        self,
        learner: Learner,
        average: AveragedModel,
        optimizer: Optimizer,
        precision: Precision,
        requests: StopRequests,
        group: dist.ProcessGroup | None,
        *,
        seed: int,
        channels_last: bool,
        exact_reduce: bool,
    ) -> None:
        self.learner, self.average, self.optimizer = learner, average, optimizer
        self.scaler = torch.amp.GradScaler(precision.device_type, enabled=precision.scaled)
        self._rank, self._world_size = (group.rank(), group.size()) if group is not None else (0, 1)
        self.gradients = FlatGradients(learner.module, NUMBERS + 2 * self._world_size, group, exact=exact_reduce)
        self._clock = StepClock(self.gradients.numbers.device)
        if self.scaler.is_enabled():  # it starts at its first use, and this rank may have no samples in the first step
            self.scaler.scale(torch.zeros((), device=self.gradients.numbers.device))
        self._precision, self._requests, self._seed = precision, requests, seed
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._names: tuple[str, ...] = ()
        self.micro_batch_done: MicroBatchDone | None = None  # called after each but the last one of a step
        self._model = dict(learner.module.state_dict())  # the live tensors: made once, since it takes milliseconds
        self._average = dict(average.module.state_dict())
        self._buffers = [buffer for buffer in learner.module.buffers() if buffer.numel() > 0]
        self._buffers_before = [buffer.clone() for buffer in self._buffers]
        self._is_before_update = False

    def __call__(
        self,
        step: OptimiserStep,
        load: Callable[[], Batch],
        watch: Callable[[Batch], None],
        extra: Sequence[float] = (0.0,) * EXTRA,
    ) -> StepOutcome:
        """Collective. Train on the micro-batches of `step`, which `load` delivers one after the other.

        `watch` is shown each micro-batch after preprocessing. `extra`: numbers of which all ranks get the sum.
        """
        HEARTBEAT.at(COMPUTING)
        self._clock.start()
        if self._buffers:
            torch._foreach_copy_(self._buffers_before, self._buffers)
        self._is_before_update = True
        self.gradients.zero()
        samples, last = [], None
        for position, micro in enumerate(step.micro_batches):
            HEARTBEAT.at(LOADING)
            batch = self._clock.loading(load)
            HEARTBEAT.at(COMPUTING)
            ids = tuple(map(int, batch["sample_id"]))
            assert ids == micro.samples, f"the loader delivers samples {ids} where the order has {micro.samples}"
            batch = self._preprocess(step, batch)
            watch(batch)
            samples.append((micro.number, ids))
            seed_all(derive("micro-batch", self._seed, step.epoch, micro.number))
            if position:
                self.gradients.micro_batch_done()
            if position == len(step.micro_batches) - 1:
                self.gradients.start_last_backward()
            weight = 1.0 if self.learner.reduction == "sum" else len(micro.samples) / step.total
            last = self._backward(batch, weight, len(micro.samples))
            if self.micro_batch_done is not None and position < len(step.micro_batches) - 1:
                self.micro_batch_done(*last)
        outcome = self._reduce(step, extra)
        outcome.samples, outcome.last = samples, last
        self._update(outcome)
        return outcome

    def _preprocess(self, step: OptimiserStep, batch: Batch) -> Batch:
        random.seed(derive("step", self._seed, step.epoch, step.index))  # multi-scale: one size for all ranks
        if self._precision.device_type == "cpu":  # cheaper while the pixels are bytes
            batch["img"] = batch["img"].contiguous(memory_format=self._format)
        batch = self.learner.preprocess(batch)
        batch["img"] = batch["img"].contiguous(memory_format=self._format)
        return batch

    def _backward(self, batch: Batch, weight: float, count: int) -> MicroBatch:
        """Forward and backward of one micro-batch; adds the loss and its parts, which it returns, to the numbers."""
        with self._precision.autocast():
            loss, parts = self.learner.loss(batch)
            loss = loss.float().sum() * weight
        self.scaler.scale(loss).backward()
        self._names = tuple(parts)
        values = torch.stack([value.detach().float().reshape(()) for value in parts.values()])
        self.gradients.numbers[REQUESTS + 1] += loss.detach()
        self.gradients.numbers[REQUESTS + 2 : REQUESTS + 2 + len(values)] += values * count
        return loss.detach(), parts

    def _reduce(self, step: OptimiserStep, extra: Sequence[float]) -> StepOutcome:
        images = float(sum(len(micro.samples) for micro in step.micro_batches))
        numbers = self.gradients.numbers
        numbers[: REQUESTS + 1] += torch.tensor([*self._requests.numbers(), images], device=numbers.device)
        numbers[PARTS:NUMBERS] += torch.tensor(extra, device=numbers.device)
        mine = NUMBERS + 2 * self._rank
        numbers[mine : mine + 2] += torch.tensor(self._clock.stop(), device=numbers.device)
        with PEERS.waiting(on_devices=True) if self._world_size > 1 else nullcontext():
            self.gradients.reduce(bool(step.micro_batches))
            if self.scaler.is_enabled():
                self.scaler.unscale_(self.optimizer)
            norm = self.gradients.norm()
            numbers_here = torch.cat([norm.reshape(1), numbers]).cpu()  # one copy, and one wait for the device
        measured, *sums = numbers_here[: 1 + NUMBERS].tolist()
        HEARTBEAT.at(UPDATING)
        trained, loss, *parts = sums[REQUESTS:PARTS]
        losses = {name: value / trained for name, value in zip(self._names, parts, strict=False)}
        finite = measured < float("inf") and isfinite(loss)  # a comparison with NaN is False
        stop, save = agree(sums[:REQUESTS])
        times = numbers_here[1 + NUMBERS :].view(-1, 2).numpy()
        return StepOutcome(stop, save, loss, measured, losses, finite, times, tuple(sums[PARTS:]))

    def _update(self, outcome: StepOutcome) -> None:
        """Update the parameters, or leave them: every rank holds the same gradients, so all do the same."""
        self._is_before_update = False
        if outcome.applied:
            self.gradients.clip(torch.tensor(outcome.norm), MAXIMUM_NORM)
            self.scaler.step(self.optimizer)
            self.average.update()
        else:
            self.average.mend()
        if self.scaler.is_enabled():
            self.scaler.update()

    def break_off(self) -> bool:
        """After an exception in a step: undo what its forward passes left in the batch-norm statistics.

        Returns whether the state is that of the last whole step; not so once the update has begun, also after it: an
        exception may come from a signal handler, at any moment until the caller has noted that the step is done.
        """
        if self._is_before_update and self._buffers:
            torch._foreach_copy_(self._buffers, self._buffers_before)
        return self._is_before_update

    def state(self) -> dict[str, Any]:
        """Everything a step changes, as tensors and plain containers; the model and its average in fp32."""
        return {
            "model": self._model,
            "average": self._average,
            "average_updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    @property
    def device(self) -> torch.device:
        return self.gradients.numbers.device

    def fingerprint(self) -> int:
        """64 bits of the model's and its average's parameters and statistics, equal on all ranks between two steps.

        Counters are left out: a rank without images in a short last step counts one batch less.
        """
        tensors = [*self._model.values(), *self._average.values()]
        return fingerprint(tensor for tensor in tensors if tensor.is_floating_point() and tensor.numel())

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of `state`; a missing or unknown key is an error that names it."""
        self.learner.module.load_state_dict(state["model"])
        self.average.module.load_state_dict(state["average"])
        self.average.updates = state["average_updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # empty where nothing was scaled; a run that goes on in fp16 elsewhere looks for its scale
            self.scaler.load_state_dict(state["scaler"])
