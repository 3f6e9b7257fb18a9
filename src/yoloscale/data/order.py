"""The order of samples is a function of (seed, epoch), not a stream: any rank can start at any step at no cost.

One global permutation per epoch is cut into forward passes of `batch` samples, and each of those into one
micro-batch per rank. So the run that has R ranks and accumulates A forward passes sees the same micro-batches in the
same optimiser steps as any other with the same micro-batch size and the same R × A, and the same samples in the same
optimiser steps as any other with the same `batch` × A.
"""

from __future__ import annotations

from dataclasses import dataclass

from yoloscale.data.permutation import permutation
from yoloscale.data.rectangles import Rectangles, deal


@dataclass(frozen=True)
class MicroBatch:
    """The samples of one forward and backward pass on one rank.

    `number` counts the micro-batches of an epoch over all ranks; with (seed, epoch) it seeds what is drawn inside
    the step. `shape`: (height, width) of its images in pixels, where batches are made of like-shaped ones.
    """

    epoch: int
    number: int
    samples: tuple[int, ...]
    shape: tuple[int, int] | None = None


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
        rectangles: of the images, for planned batches of like shapes; no micro-batch may lie in two of them.
    """

    samples: int
    batch: int
    world_size: int
    accumulate: int
    seed: int
    drop_last: bool = False
    planned_batch: int | None = None
    rectangles: Rectangles | None = None

    @property
    def planned(self) -> int:
        """The `batch` of the first start."""
        return self.planned_batch or self.batch

    @property
    def used(self) -> int:
        """Samples of an epoch: the first so many of its order."""
        full = self.samples // self.planned * self.planned
        return full if self.drop_last and full else self.samples

    @property
    def forward_passes(self) -> int:
        return -(-self.used // self.batch)

    @property
    def fewest(self) -> int:
        """Images of the smallest micro-batch of an epoch: of the last one, if the images do not divide."""
        per_rank = self.batch // self.world_size
        return self.used % self.batch % per_rank or per_rank

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
        number, mine = forward * self.world_size + rank, slice(begin, max(begin, end))
        if self.rectangles is None:
            return MicroBatch(epoch, number, tuple(permutation(self.samples, self.seed, epoch)[mine].tolist()))
        order, shapes = deal(self.rectangles, self.planned, self.seed, epoch)
        if begin >= end:
            return MicroBatch(epoch, number, ())
        batch = begin // self.planned
        assert batch == (end - 1) // self.planned, "the plan deals out whole parts of planned batches"
        height, width = shapes[batch].tolist()
        return MicroBatch(epoch, number, tuple(order[mine].tolist()), (height, width))
