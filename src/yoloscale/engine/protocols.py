"""What the engine needs from the outside: a model with its loss, an evaluation, and someone who is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import nn

if TYPE_CHECKING:
    from yoloscale.checkpoint.state import Progress

Batch = dict[str, Any]


class Learner(Protocol):
    """A model with its loss, as the adapter lends it."""

    module: nn.Module
    """The raw module, on its device; its parameters are what is trained."""

    reduction: Literal["sum", "mean"]
    """Whether the loss of a batch is a sum over its images or a mean; decides how micro-batches are weighted."""

    def preprocess(self, batch: Batch) -> Batch:
        """Batch on the device, images (B, C, H, W) as floats in [0, 1]. Draws a multi-scale size from `random`."""

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Scalar loss with its graph, and its named parts, detached."""

    def train_mode(self) -> None:
        """Training mode, except for frozen layers' batch norms."""

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set what the loss does as a function of the epoch (from 0) and the number of epochs."""


Evaluation = Callable[[nn.Module], dict[str, float]]
"""Collective. A pass over the validation images: metrics (with `fitness`) and losses of a model, for every rank."""


class Observer(Protocol):
    """Who is told what happens: on every rank, but of steps on rank 0 only. Must not block for long."""

    def step(self, record: Mapping[str, float]) -> None: ...
    def epoch(self, record: Mapping[str, float]) -> None: ...

    def measured(self, record: Mapping[str, float]) -> None:
        """The epoch that `epoch` was last told of, without metrics, is evaluated after all: its record with them."""

    def warn(self, message: str) -> None: ...
    def rolled_back(self, message: str, *, step_from: int, step_to: int) -> None: ...
    def pruned(self, epoch: int) -> None:
        """A search has found the run hopeless; it ends after this epoch, from 1."""

    def evaluated(self, epoch: int, metrics: dict[str, float], seconds: float) -> None: ...

    def batch(self, step: int, batch: Batch) -> None:
        """A preprocessed micro-batch is about to be trained on; `step` counts optimiser steps from 0."""

    def trace(self, record: Mapping[str, Any]) -> None: ...


class Checkpointer(Protocol):
    """Who stores and restores the state of a run. The ranks hold one state, so one of them stores it for all."""

    def is_due(self, step: int) -> bool:
        """Whether this rank would store a checkpoint after this optimiser step (counted over the run)."""

    def save(self, progress: Progress, reason: str) -> None:
        """Not collective: rank 0 copies the state and writes it while training goes on; elsewhere nothing happens."""

    def save_on_failure(self, progress: Progress) -> None:
        """A step has failed: store the state before it, and wait. Called by any rank alone; does not raise."""

    def wait(self) -> None:
        """Collective. Return when everything that was saved is on disk, or its failure on record."""

    def publish(self, epoch: int, metrics: dict[str, float], best: bool) -> None:
        """Not collective: rank 0 copies the averaged weights. The next `save` writes them to weights/last.pt, and to
        best.pt if this epoch (from 1) is the best so far."""

    def close(self) -> None:
        """Not collective. Return when nothing is being written; for the end of a rank, however it ends."""

    def restore(self, before: int | None = None) -> Progress | None:
        """Collective. All ranks load the newest valid checkpoint; None if there is none.

        With `before` the newest one of fewer optimiser steps, if there is one; those that are newer are kept aside.
        """


class Callbacks(Protocol):
    """A person's own functions, called where Ultralytics calls its callbacks. Every rank has them and calls alike."""

    @property
    def wants_files(self) -> bool:
        """Whether `saved` is to be called on this rank once the weights of an epoch are on disk."""

    @property
    def is_stopped(self) -> bool:
        """Whether one of the functions has asked for the end of the run on this rank; stays so."""

    def train_start(self, progress: Progress) -> None: ...
    def epoch_start(self, progress: Progress) -> None: ...
    def batch_start(self) -> None: ...

    def batch_end(self, loss: torch.Tensor, parts: Mapping[str, torch.Tensor]) -> None:
        """A micro-batch of this rank is done, and the update, too, if it was the last one of its step."""

    def epoch_end(self, progress: Progress) -> None:
        """All steps of an epoch are done, none of its evaluation."""

    def evaluated(self, metrics: Mapping[str, float], best: float | None) -> None:
        """The metrics of the epoch, and the best fitness so far."""

    def saved(self) -> None: ...
    def fit_epoch_end(self) -> None: ...


class NoCallbacks:
    """None of a person's functions: nothing is called."""

    wants_files = is_stopped = False

    def train_start(self, *_: object) -> None: ...

    epoch_start = batch_start = batch_end = epoch_end = evaluated = saved = fit_epoch_end = train_start
