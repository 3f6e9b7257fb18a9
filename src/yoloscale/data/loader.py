"""Micro-batches from worker processes, in order, starting anywhere.

The stream does not end with an epoch: the key of a sample carries its epoch, so workers go on with the next epoch
while the last one is evaluated, and nothing is rebuilt in between.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from yoloscale.data.order import SampleOrder
from yoloscale.data.room import PREFETCH
from yoloscale.data.seeds import derive, seed_host
from yoloscale.data.worker_deaths import end_if_undelivered
from yoloscale.system.signals import CHECKPOINT_SIGNAL, STOP_SIGNALS


class SampleKey(NamedTuple):
    """Everything a sample's content depends on, besides the files and the run's seed."""

    epoch: int
    sample: int
    mosaic_closed: bool
    shape: tuple[int, int] | None = None  # (height, width) of the images of its batch, if that has one of its own


class SampleSource(Protocol):
    """The training images with their augmentation, as the adapter lends them."""

    def __len__(self) -> int: ...

    def sample(self, index: int, mosaic_closed: bool, shape: tuple[int, int] | None = None) -> dict[str, Any]:
        """One augmented sample, of this (height, width); draws from the global host generators only."""

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]: ...


class SeededSamples(Dataset[dict[str, Any]]):
    """Samples that depend on (seed, epoch, index) and the shape of their batch, not on who loads them, and when.

    Loading a sample leaves the host generators seeded by it; who draws random numbers seeds first, always.
    """

    def __init__(self, source: SampleSource, seed: int) -> None:
        self._source, self._seed = source, seed

    def __getitem__(self, key: SampleKey) -> dict[str, Any]:
        seed_host(derive("sample", self._seed, key.epoch, key.sample))
        return self._source.sample(key.sample, key.mosaic_closed, key.shape)


def micro_batch_keys(
    order: SampleOrder, rank: int, start: tuple[int, int], mosaic_closed: Callable[[int], bool]
) -> Iterator[list[SampleKey]]:
    """The keys of one rank's micro-batches from a position on, epoch after epoch.

    `mosaic_closed(epoch)` is asked when a key is made, so a run whose last epoch moves (`time=`) is followed.
    """
    epoch, first = start
    while True:
        closed = mosaic_closed(epoch)
        for index in range(first, order.steps):
            for micro in order.step(epoch, index, rank).micro_batches:
                yield [SampleKey(epoch, sample, closed, micro.shape) for sample in micro.samples]
        epoch, first = epoch + 1, 0


def start_worker(_worker: int) -> None:
    """Initialise a loader process: one thread, and deaf to the signals that ask a run to stop.

    torchrun sends those to the whole session of a rank. The rank saves and ends its workers itself; one that dies
    first would fail it.
    """
    end_if_undelivered()
    for number in (*STOP_SIGNALS, CHECKPOINT_SIGNAL):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    try:
        import cv2

        cv2.setNumThreads(0)
    except ImportError:  # a source that does not decode with OpenCV
        return


class MicroBatchLoader:
    """An endless iterator over one rank's collated micro-batches.

    Args:
        start: (epoch, optimiser step), both from 0, of the first micro-batch to deliver.
        workers: loader processes of this rank; 0 loads in the training process.
        prefetch: micro-batches that each of them may be ahead.
        pin_memory: deliver page-locked tensors (only with CUDA).
    """

    def __init__(
        self,
        source: SampleSource,
        order: SampleOrder,
        rank: int,
        start: tuple[int, int],
        mosaic_closed: Callable[[int], bool],
        workers: int,
        pin_memory: bool,
        prefetch: int = PREFETCH,
    ) -> None:
        self._loader = DataLoader(
            SeededSamples(source, order.seed),
            batch_sampler=micro_batch_keys(order, rank, start, mosaic_closed),
            num_workers=workers,
            collate_fn=source.collate,
            pin_memory=pin_memory,
            prefetch_factor=prefetch if workers else None,
            worker_init_fn=start_worker,
            multiprocessing_context="fork" if workers else None,
        )
        self._batches: Iterator[dict[str, Any]] | None = None

    def __next__(self) -> dict[str, Any]:
        if self._batches is None:
            self._batches = iter(self._loader)
        return next(self._batches)

    def close(self) -> None:
        iterator: Any = self._batches
        self._batches = None
        if hasattr(iterator, "_shutdown_workers"):
            try:
                iterator._shutdown_workers()
            except RuntimeError as error:
                if "DataLoader worker" not in str(error):  # one was killed just now: torch ends the others all the same
                    raise
