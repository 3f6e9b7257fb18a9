"""How many loader workers fit into shared memory and into the job's memory, and how far they may load ahead."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from yoloscale.system import memory
from yoloscale.system.formatting import counted

SHARED_MEMORY = Path("/dev/shm")
PREFETCH = 4  # batches that a worker may be ahead
EVALUATION_PREFETCH = 2  # PyTorch's default, which the loaders of evaluations have
LEAST_PREFETCH = 2  # one that a worker fills while another waits to be used
WORKER_BYTES = 128 * 2**20  # that a forked worker comes to hold of its own: decoded images, labels it has touched
USABLE = 0.5  # part of the job's free memory: the rest is for what the ranks themselves come to hold
REMEDY = "docker run --shm-size=16g or --ipc=host; on Kubernetes an emptyDir with medium: Memory at /dev/shm"


@dataclass(frozen=True)
class Room:
    """Bytes on this node that one rank's loaders may take."""

    shared_bytes: int
    memory_bytes: int
    limit: str  # of the memory, for people


@dataclass(frozen=True)
class Loading:
    """A rank's loader workers and how many training batches each may be ahead.

    `batch_bytes` and `evaluation_bytes`: of one collated batch.
    """

    workers: int
    batch_bytes: int
    evaluation_bytes: int
    prefetch: int = PREFETCH

    @property
    def shared_bytes(self) -> int:
        """What may lie in shared memory at a time, an evaluation amid the training included."""
        return self.workers * (self.prefetch * self.batch_bytes + EVALUATION_PREFETCH * self.evaluation_bytes)

    @property
    def memory_bytes(self) -> int:
        return self.shared_bytes + 2 * self.workers * WORKER_BYTES  # training's and evaluation's

    def fits(self, room: Room) -> bool:
        return self.shared_bytes <= room.shared_bytes and self.memory_bytes <= room.memory_bytes


def fit(most: Loading, room: Room) -> Loading:
    """As many workers as fit, at most so many; rather less far ahead than fewer. None load in the rank itself."""
    for workers in range(most.workers, 0, -1):
        for prefetch in range(most.prefetch, LEAST_PREFETCH - 1, -1):
            loading = replace(most, workers=workers, prefetch=prefetch)
            if loading.fits(room):
                return loading
    return replace(most, workers=0)


def difference(most: Loading, fitting: Loading, room: Room) -> str | None:
    """What a person has to know if less fits than the most that was asked for: why, and what to do."""
    if fitting == most:
        return None
    if most.shared_bytes > room.shared_bytes:
        use = f"{size(most.shared_bytes)} of /dev/shm, which has {size(room.shared_bytes)} for each rank"
        remedy = f"give it more room ({REMEDY})"
    else:
        use = f"{size(most.memory_bytes)} of memory, of which {room.limit} leaves them {size(room.memory_bytes)}"
        remedy = "ask for more memory (cluster.mem, docker run --memory)"
    instead = "the rank loads its images itself, slowly"
    if fitting.workers:
        instead = f"{counted(fitting.workers, 'worker')}, {fitting.prefetch} batches ahead, in their place"
    workers = counted(most.workers, "loader worker")
    return f"{workers} would use up to {use}: {instead}; {remedy}, or write workers={fitting.workers}"


def room_of_rank(ranks_of_node: int) -> Room:
    """What is free on this node now, a share for each of its ranks."""
    free = memory.available()
    shared = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else free.free_bytes
    return Room(shared // ranks_of_node, int(USABLE * free.free_bytes) // ranks_of_node, free.limit)


def size_of(batch: Mapping[str, Any]) -> int:
    """Bytes of a collated batch that travel through shared memory."""
    tensors = [value for value in batch.values() if isinstance(value, torch.Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
