"""Exponential moving average of parameters and batch-norm statistics: the model that is evaluated and published."""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import nn


class AveragedModel:
    """A copy of `module` in evaluation mode that follows it, with Ultralytics' ramped decay.

    decay(n) = 0.9999 · (1 − exp(−n / 2000)) after n updates. Every rank keeps its own and they hold the same bits,
    because the ranks' parameters and statistics do.
    """

    def __init__(self, module: nn.Module, decay: float = 0.9999, time_constant: float = 2000.0) -> None:
        self.module = deepcopy(module).eval().requires_grad_(False)
        self.updates = 0
        self._decay, self._time_constant = decay, time_constant
        current = module.state_dict(keep_vars=True)
        pairs = [(a, current[k]) for k, a in self.module.state_dict(keep_vars=True).items() if a.is_floating_point()]
        self._averages = [average for average, _ in pairs]
        self._sources = [source.detach() for _, source in pairs]

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the followed module by one step."""
        self.updates += 1
        decay = self._decay * (1 - math.exp(-self.updates / self._time_constant))
        torch._foreach_lerp_(self._averages, self._sources, 1 - decay)

    @torch.no_grad()
    def mend(self) -> None:
        """Give the followed module the average of what a step that was not applied has left non-finite.

        The forward pass of such a step has already gone into the batch-norm statistics.
        """
        for average, source in zip(self._averages, self._sources, strict=True):
            if not torch.isfinite(source).all():
                source.copy_(average)
