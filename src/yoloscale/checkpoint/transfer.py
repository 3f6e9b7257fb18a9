"""The state of a run from the rank that has read it to all others, over the network that gradients take.

So a checkpoint on shared storage is read once, whatever the number of ranks: a thousand that read it together are
slower than the network between them, and may see different files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from yoloscale.checkpoint.snapshot import collect, replaced
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT

CHUNK_BYTES = 2**26  # sent at once; what a transfer needs beside the state itself


@dataclass(frozen=True)
class _Layout:
    """A tensor without its numbers."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype


def share(state: dict[str, Any] | None, ranks: Ranks, device: torch.device) -> dict[str, Any]:
    """Collective. The state of rank 0 on every rank, to the bit, its tensors on the host with the same strides.

    Args:
        state: as `checkpoint.snapshot` has it; not looked at on the other ranks.
        device: where the ranks' tensors meet: the network between GPUs takes no other ones.
    """
    tensors: list[torch.Tensor] = []
    if ranks.is_first:
        assert state is not None
        tensors = [dense(tensor) for tensor in collect(state)]
        if ranks.world_size == 1:
            return state
        state = replaced(state, (_Layout(tuple(t.shape), t.stride(), t.dtype) for t in tensors))
    skeleton = group.broadcast_object(state)
    if not ranks.is_first:
        layouts = collect(skeleton, _Layout)
        tensors = [torch.empty_strided(layout.shape, layout.stride, dtype=layout.dtype) for layout in layouts]
    _send([in_memory(tensor).view(torch.uint8) for tensor in tensors if tensor.numel()], ranks, device)
    filled: dict[str, Any] = replaced(skeleton, iter(tensors), _Layout)
    return filled


def _send(parts: Sequence[torch.Tensor], ranks: Ranks, device: torch.device) -> None:
    """Collective. Fill the parts, bytes on the host, with those of rank 0."""
    host = torch.empty(min(sum(map(len, parts)), CHUNK_BYTES), dtype=torch.uint8)
    there = torch.empty_like(host, device=device)
    for pieces in HEARTBEAT.through(_chunks(parts)):
        sizes = [len(piece) for piece in pieces]
        here, sent = host[: sum(sizes)], there[: sum(sizes)]
        if ranks.is_first:
            sent.copy_(torch.cat(pieces, out=here))
        group.broadcast_tensors([sent])
        if not ranks.is_first:
            for piece, received in zip(pieces, here.copy_(sent).split(sizes), strict=True):
                piece.copy_(received)


def _chunks(parts: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """The parts, cut and put together so that each chunk but the last one has CHUNK_BYTES."""
    pieces: list[torch.Tensor] = []
    room = CHUNK_BYTES
    for part in parts:
        while len(part):
            pieces.append(part[:room])
            part, room = part[room:], room - len(part[:room])
            if not room:
                yield pieces
                pieces, room = [], CHUNK_BYTES
    if pieces:
        yield pieces


def dense(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, or a copy where it leaves memory out."""
    return tensor if torch.ops.aten.is_non_overlapping_and_dense(tensor) else tensor.contiguous()


def in_memory(tensor: torch.Tensor) -> torch.Tensor:
    """The numbers of a dense tensor in the order in which they lie in memory, the same on every rank; a view."""
    return tensor.as_strided((tensor.numel(),), (1,))
