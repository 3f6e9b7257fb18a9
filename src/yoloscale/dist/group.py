"""The process group: joining, leaving, and the few collectives the project uses.

Every function here that says "Collective" is called by all ranks in the same order. At world size 1 there is no
process group and each of them returns at once, so no caller asks whether the run is distributed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from yoloscale.dist.environment import Ranks
from yoloscale.dist.peers import PEERS

T = TypeVar("T")


SETUP_TIMEOUT_S = 7200.0  # without a sign of life from the rank that sets up while the others wait
_BACKEND_TIMEOUT = timedelta(days=30)  # reading a large data set may take hours while the others wait


def join(ranks: Ranks, backend: str, device: torch.device, timeout_s: float) -> dist.ProcessGroup | None:
    """Collective. Join the process group; returns the group of all ranks, None at world size 1.

    It has no time limit of its own to speak of: the watchdog can tell who did not arrive, a backend only knows that
    somebody did not. A connection that breaks fails a collective at once, whatever the limit.
    """
    if ranks.world_size == 1:
        return None
    with PEERS.waiting():
        dist.init_process_group(
            backend,
            rank=ranks.rank,
            world_size=ranks.world_size,
            timeout=max(_BACKEND_TIMEOUT, 2 * timedelta(seconds=timeout_s)),
            device_id=device if device.type == "cuda" else None,
        )
    return dist.group.WORLD


def another() -> dist.ProcessGroup | None:
    """Collective. One more group of all ranks, with connections and an order of collectives of its own.

    None at world size 1. `leave` ends it.
    """
    if not dist.is_initialized():
        return None
    with PEERS.waiting():
        made = dist.new_group(timeout=_BACKEND_TIMEOUT)
    assert isinstance(made, dist.ProcessGroup), "every rank is a member"
    return made


def groups() -> list[dist.ProcessGroup]:
    """All groups that this process has joined, that of all ranks first; each has all of its backends."""
    return list(dist.distributed_c10d._world.pg_map)


def leave() -> None:
    """Leave the process group, if one was joined. Not collective: a failing rank may call it alone."""
    if dist.is_initialized():
        dist.destroy_process_group()


def barrier() -> None:
    """Collective. Return when every rank has called it."""
    if dist.is_initialized():
        with PEERS.waiting():
            dist.barrier()


def broadcast_object(value: T, source: int = 0) -> T:
    """Collective. The source rank's value, on every rank; it travels pickled, so keep it small."""
    if not dist.is_initialized():
        return value
    box = [value if dist.get_rank() == source else None]
    with PEERS.waiting():
        dist.broadcast_object_list(box, src=source)
    received: Any = box[0]
    return received  # type: ignore[no-any-return]  # what the source put in


def gather_objects(value: T) -> list[T]:
    """Collective. The values of all ranks in rank order, on every rank; they travel pickled."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    with PEERS.waiting():
        dist.all_gather_object(values, value)
    return values


def broadcast_tensors(tensors: list[torch.Tensor], source: int = 0) -> None:
    """Collective. Overwrite the tensors, in place, with those of the source rank."""
    if dist.is_initialized():
        with PEERS.waiting():
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=source)


@contextmanager
def first_of_run_then_of_nodes(ranks: Ranks) -> Iterator[None]:
    """Collective. Run the body on rank 0, then on the first rank of each node, then on the rest.

    For work that leaves something on disk for the others to find, whether the disk is shared between nodes or not.
    """
    turn = 0 if ranks.is_first else 1 if ranks.is_first_of_node else 2
    for _ in range(turn):
        barrier()
    try:
        yield
    finally:
        for _ in range(2 - turn):
            barrier()
