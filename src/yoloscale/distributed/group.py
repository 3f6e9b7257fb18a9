"""The process group: joining, leaving, and the few collectives the project uses.

On GPUs the group has two sides. Tensors of a device go through the device's backend (NCCL); what is on the host, which
is barriers and pickled objects, goes through gloo. A rank that waits in NCCL keeps a core and its GPU busy, and ranks
wait for hours while one of them looks through a large data set; in gloo they sleep.

Every function here that says "Collective" is called by all ranks in the same order. At world size 1 there is no
process group and each of them returns at once, so no caller asks whether the run is distributed.
"""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.peers import PEERS, Loss, PeerLost
from yoloscale.errors import ConfigError, Problem
from yoloscale.system import network

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
    _allow_connections(ranks.world_size)
    _choose_interface(ranks, os.environ)
    with PEERS.waiting():
        dist.init_process_group(
            sides(backend, device),
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
        group = dist.new_group(timeout=_BACKEND_TIMEOUT, backend=_of_device(dist.get_backend()))
    assert isinstance(group, dist.ProcessGroup), "every rank is a member"
    return group


def sides(backend: str, device: torch.device) -> str:
    """What torch is to be asked for: `backend`, and beside one that only takes tensors of a GPU gloo for the host's."""
    return backend if device.type == "cpu" or backend == "gloo" else f"cpu:gloo,{device.type}:{backend}"


def _of_device(sides: str) -> str:
    """The backend that takes the tensors of the ranks' devices."""
    return sides.rpartition(":")[2]


def _allow_connections(world_size: int) -> None:
    """Let this process have as many files open as it may: gloo connects every rank with every other one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * world_size + 1024:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _choose_interface(ranks: Ranks, environ: MutableMapping[str, str]) -> None:
    """Say which network interface reaches the others, where no launcher has: gloo takes that of the host's name."""
    host, port = environ.get("MASTER_ADDR"), environ.get("MASTER_PORT", "")
    if host is None or not port.isdigit():
        return
    interface = network.interface_towards(host, int(port))
    nodes = -(-ranks.world_size // ranks.local_world_size)
    environ.update(network.variables(interface, nodes, environ))


def leave() -> None:
    """Leave the process group, if one was joined. Not collective: a failing rank may call it alone."""
    if dist.is_initialized():
        dist.destroy_process_group()


def barrier() -> None:
    """Collective. Return when every rank has called it; until then this one sleeps."""
    if dist.is_initialized():
        with PEERS.waiting():
            dist.all_reduce(torch.zeros(1))  # on the host; dist.barrier would be the GPU's wherever there is one


def broadcast_object(value: T) -> T:
    """Collective. Rank 0's value, on every rank; it travels pickled, so keep it small."""
    if not dist.is_initialized():
        return value
    box: list[Any] = [value if dist.get_rank() == 0 else None]
    with PEERS.waiting():
        dist.broadcast_object_list(box, src=0)
    return box[0]  # type: ignore[no-any-return]  # what rank 0 put in


def by_first(call: Callable[[], T]) -> T:
    """Collective. What `call` returns on rank 0, on every rank; the others do not call it. Pickled: keep it small.

    For what a file decides: read by each rank, it may be another one on each. What it raises is raised on rank 0; the
    others then raise the same ConfigError, or PeerLost.
    """
    if not dist.is_initialized():
        return call()
    outcome: tuple[Any, Loss | None, Sequence[Problem]] = (None, None, ())
    failure: Exception | None = None
    if dist.get_rank() == 0:
        try:
            outcome = (call(), None, ())
        except Exception as error:  # handed on below, so that nobody waits for what will not come
            failure = error
            loss = Loss(0, socket.gethostname(), f"{type(error).__name__}: {error}")
            outcome = (None, None, error.problems) if isinstance(error, ConfigError) else (None, loss, ())
    value, lost, problems = broadcast_object(outcome)
    if failure is not None:
        raise failure
    if problems:
        raise ConfigError(problems)
    if lost is not None:
        raise PeerLost(lost)
    return value  # type: ignore[no-any-return]  # what rank 0 returned


def gather_objects(value: T) -> list[T]:
    """Collective. The values of all ranks in rank order, on every rank; they travel pickled."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    with PEERS.waiting():
        dist.all_gather_object(values, value)
    return values


def gather_to_first(value: T) -> list[T] | None:
    """Collective. The values of all ranks in rank order on rank 0, None elsewhere; they travel pickled.

    For what only rank 0 has room or use for.
    """
    if not dist.is_initialized():
        return [value]
    values: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    with PEERS.waiting():
        dist.gather_object(value, values, dst=0)
    return values


def is_joined() -> bool:
    """Whether this process is in a group: of more than one rank."""
    return dist.is_initialized()


def broadcast_tensors(tensors: list[torch.Tensor]) -> None:
    """Collective. Overwrite the tensors, in place, with those of rank 0."""
    if dist.is_initialized():
        with PEERS.waiting(on_devices=True):
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)


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
