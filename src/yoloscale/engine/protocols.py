"""What the engine needs from the outside: a model with its loss, an evaluation, and someone who is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import torch
from torch import nn

Batch = dict[str, Any]


class Learner(Protocol):
    """A model with its loss, as the adapter lends it."""

    module: nn.Module
    """The raw module, on its device; its parameters are what is trained."""

    reduction: Literal["sum", "mean"]
    """Whether the loss of a batch is a sum over its images or a mean; decides how micro-batches are weighted."""

    def preprocess(self, batch: Batch) -> Batch:
        """Batch on the device, images (B, C, H, W) as floats in [0, 1]. Draws a multi-scale size from `random`."""
        ...

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Scalar loss with its graph, and its named parts, detached."""
        ...

    def train_mode(self) -> None:
        """Training mode, except for frozen layers' batch norms."""
        ...

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set what the loss does as a function of the epoch (from 0) and the number of epochs."""
        ...


class Evaluation(Protocol):
    """A pass over the validation images."""

    def __call__(self, module: nn.Module) -> dict[str, float]:
        """Collective. Metrics (with `fitness`) and validation losses of `module`, the same on every rank."""
        ...


class Observer(Protocol):
    """Who is told what happens. Called on rank 0 only, except `first_batch`-like hooks; must not block for long."""

    def step(self, record: Mapping[str, float]) -> None: ...

    def epoch(self, record: Mapping[str, float]) -> None: ...

    def event(self, name: str, **fields: Any) -> None: ...

    def batch(self, step: int, batch: Batch) -> None:
        """A preprocessed micro-batch of rank 0 is about to be trained on; `step` counts optimiser steps from 0."""
        ...

    def trace(self, record: Mapping[str, Any]) -> None: ...
