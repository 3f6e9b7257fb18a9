"""Forward, backward, all-reduce and optimiser step, and nothing else: how fast training could be at best.

Two ways of adding up the gradients of the ranks are measured in turn: torch's DistributedDataParallel, as anybody would
write it, and the project's FlatGradients. No loading, no average of the weights, no clipping, no logging.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from yoloscale.config.schema import Config
from yoloscale.data.loader import SampleKey, SeededSamples
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.train.parts import Parts, build, choose_device

ROUNDS = 2
WARM_UP_STEPS = 3
MAX_STEPS = 50  # of one round of one way

Batches = Sequence[dict[str, Any]]


def measure(config: Config, run: RunDirectory, ranks: Ranks) -> dict[str, Any]:
    """Collective. Images per second over all ranks for both ways, on as many images as an epoch has (at most)."""
    config = replace(config, cache=False)  # one batch is all that is read
    device = choose_device(config, ranks)
    steps_group = group.join(ranks, config.cluster.backend or "gloo", device, config.cluster.timeout_s)
    parts = build(config, run, ranks, device, steps_group, StopRequests(), lambda phase: None)
    if parts.order.samples < parts.order.batch:  # a rank without images would have nothing to measure
        raise ValueError(f"{parts.order.samples} training images do not fill a batch of {parts.order.batch}")
    parts.learner.start_epoch(0, config.epochs)
    batches = _fixed_batches(config, parts, ranks)
    ways = {"ddp": _ddp_step(config, parts, batches, device), "flat": _flat_step(parts, batches)}
    steps = max(min(parts.order.steps // ROUNDS, MAX_STEPS), 1)
    seconds = dict.fromkeys(ways, 0.0)
    for step in ways.values():
        _seconds(step, WARM_UP_STEPS, device)
    for _ in range(ROUNDS):
        for name, step in ways.items():
            seconds[name] += _seconds(step, steps, device)
    images = parts.order.step(0, 0, 0).total * steps * ROUNDS
    return {
        "images_per_s": {name: images / spent for name, spent in seconds.items()},
        "precision": parts.precision.name,
        "threads": torch.get_num_threads(),
    }


def _seconds(step: Callable[[], None], steps: int, device: torch.device) -> float:
    """Collective. How long `steps` steps take until all ranks are done."""
    group.barrier()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    group.barrier()
    return time.perf_counter() - started


def _fixed_batches(config: Config, parts: Parts, ranks: Ranks) -> Batches:
    """The micro-batches of this rank in the run's first optimiser step, on the device: real images, real targets."""
    samples = SeededSamples(parts.samples, config.seed)
    layout = _layout(parts.learner.module)
    batches = []
    for micro in parts.order.step(0, 0, ranks.rank).micro_batches:
        loaded = parts.samples.collate([samples[SampleKey(0, sample, False, micro.shape)] for sample in micro.samples])
        batch = parts.learner.preprocess(loaded)
        batch["img"] = batch["img"].contiguous(memory_format=layout)
        batches.append(batch)
    return batches


def _layout(module: nn.Module) -> torch.memory_format:
    """How the model lies in memory, by a weight that lies differently in the two ways."""
    for weight in module.parameters():
        if weight.dim() == 4 and not weight.is_contiguous():
            return torch.channels_last
    return torch.contiguous_format


def _hold_still(optimizer: Optimizer) -> None:
    """Let steps cost what they cost but change nothing: the same batch over and over would drive the loss off."""
    for parameters in optimizer.param_groups:
        parameters["lr"] = 0.0


def _flat_step(parts: Parts, batches: Batches) -> Callable[[], None]:
    """A step with the project's reducer."""
    learner, optimizer, gradients = parts.learner, parts.stepper.optimizer, parts.stepper.gradients
    scaler = torch.amp.GradScaler(parts.precision.device_type, enabled=parts.precision.scaled)
    _hold_still(optimizer)
    learner.train_mode()

    def step() -> None:
        gradients.zero()
        for position, batch in enumerate(batches):
            if position:
                gradients.micro_batch_done()
            if position == len(batches) - 1:
                gradients.start_last_backward()
            with parts.precision.autocast():
                loss = learner.loss(batch)[0].float().sum()
            scaler.scale(loss).backward()
        gradients.reduce(active=True)
        scaler.step(optimizer)
        scaler.update()

    return step


def _ddp_step(config: Config, parts: Parts, batches: Batches, device: torch.device) -> Callable[[], None]:
    """Collective. A step of a copy of the model under DistributedDataParallel; at world size 1 of the copy itself."""
    learner = copy(parts.learner)
    module = learner.module = deepcopy(parts.learner.module).train()
    order = parts.order
    optimizer = learner.build_optimizer(order.samples, order.batch, order.accumulate, config.epochs)
    scaler = torch.amp.GradScaler(parts.precision.device_type, enabled=parts.precision.scaled)
    _hold_still(optimizer)
    has_unused = any(group.gather_objects(_leaves_unused(module, parts, batches)))
    model: nn.Module = module
    if order.world_size > 1:
        devices = [device] if device.type == "cuda" else None
        model = DistributedDataParallel(
            module, device_ids=devices, find_unused_parameters=has_unused, broadcast_buffers=False
        )

    def step() -> None:
        optimizer.zero_grad()
        for position, batch in enumerate(batches):
            is_last = position == len(batches) - 1
            wait = nullcontext() if is_last or not isinstance(model, DistributedDataParallel) else model.no_sync()
            with wait:
                with parts.precision.autocast():
                    loss = model(batch)[0].float().sum()
                scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def _leaves_unused(module: nn.Module, parts: Parts, batches: Batches) -> bool:
    """Whether a batch leaves a trainable parameter without a gradient, which DistributedDataParallel must be told."""
    is_unused = False
    for batch in batches:
        module.zero_grad(set_to_none=True)
        with parts.precision.autocast():
            loss = module(batch)[0].float().sum()
        loss.backward()
        is_unused |= any(p.requires_grad and p.grad is None for p in module.parameters())
    module.zero_grad(set_to_none=True)
    return is_unused
