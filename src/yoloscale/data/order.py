"""The order of samples is a function of (seed, epoch), not a stream: any rank can start at any step at no cost.

One global permutation per epoch is cut into forward passes of `batch` samples, and each of those into one
micro-batch per rank. So the run that has R ranks and accumulates A forward passes sees the same micro-batches in the
same optimiser steps as any other with the same micro-batch size and the same R × A, and the same samples in the same
optimiser steps as any other with the same `batch` × A.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from yoloscale.data.seeds import derive


@lru_cache(maxsize=2)
def permutation(samples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The sample indices of one epoch (counted from 0) in the order all ranks together consume them."""
    generator = np.random.Generator(np.random.Philox(derive("order", seed, epoch)))
    order = generator.permutation(samples)
    order.setflags(write=False)
    return order


@dataclass(frozen=True)
class MicroBatch:
    """The samples of one forward and backward pass on one rank.

    `number` counts the micro-batches of an epoch over all ranks; with (seed, epoch) it seeds what is drawn inside
    the step.
    """

    epoch: int
    number: int
    samples: tuple[int, ...]


@dataclass(frozen=True)
class OptimiserStep:
    """What one rank does between two updates of the parameters.

    `total` is the number of samples of the step over all ranks, `start` the position of its first one in the epoch.
    A rank can be left without micro-batches in the last step of an epoch.
    """

    epoch: int
    index: int
    start: int
    total: int
    micro_batches: tuple[MicroBatch, ...]


@dataclass(frozen=True)
class SampleOrder:
    """How the samples of every epoch are dealt out.

    Args:
        samples: images in the training set.
        batch: samples of one forward pass over all ranks; a multiple of `world_size`.
        accumulate: forward passes per optimiser step. The last step of an epoch may have fewer.
        drop_last: leave out a last forward pass that is short (torch.compile, SyncBN), unless it is the only one.
        planned_batch: the `batch` that the run was first started with, which decides what is left out: an epoch has
            the same samples on any number of ranks. None: `batch`.
    """

    samples: int
    batch: int
    world_size: int
    accumulate: int
    seed: int
    drop_last: bool = False
    planned_batch: int | None = None

    @property
    def used(self) -> int:
        """Samples of an epoch: the first so many of its permutation."""
        batch = self.planned_batch or self.batch
        full = self.samples // batch * batch
        return full if self.drop_last and full else self.samples

    @property
    def forward_passes(self) -> int:
        """Forward passes per epoch."""
        return -(-self.used // self.batch)

    @property
    def steps(self) -> int:
        """Optimiser steps per epoch."""
        return -(-self.forward_passes // self.accumulate)

    def step(self, epoch: int, index: int, rank: int) -> OptimiserStep:
        """What `rank` does in the optimiser step `index` (from 0) of `epoch` (from 0)."""
        first = index * self.accumulate
        last = min(first + self.accumulate, self.forward_passes)
        start, end = first * self.batch, min(last * self.batch, self.used)
        micro = [self._micro_batch(epoch, forward, rank) for forward in range(first, last)]
        return OptimiserStep(epoch, index, start, end - start, tuple(m for m in micro if m.samples))

    def _micro_batch(self, epoch: int, forward: int, rank: int) -> MicroBatch:
        per_rank = self.batch // self.world_size
        begin = forward * self.batch + rank * per_rank
        end = min(begin + per_rank, (forward + 1) * self.batch, self.used)
        chosen = permutation(self.samples, self.seed, epoch)[begin : max(begin, end)]
        return MicroBatch(epoch, forward * self.world_size + rank, tuple(chosen.tolist()))
