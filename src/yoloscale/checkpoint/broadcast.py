"""A state from rank 0 to all others: storage reads it once, however many ranks there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from yoloscale.checkpoint.snapshot import collect, replaced
from yoloscale.dist import group

BLOCK_BYTES = 64 * 2**20  # that travel at a time, and are held twice meanwhile


class Blank(NamedTuple):
    """A tensor without its values: how they lie in memory is kept, too, since sums of some kernels depend on it."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype


def broadcast_state(
    state: dict[str, Any] | None, device: torch.device, *, block_bytes: int = BLOCK_BYTES
) -> dict[str, Any]:
    """Collective. Rank 0's state on every rank, on the host; the other ranks' own is not looked at.

    A state is dicts, lists and tuples of tensors and plain values.

    Args:
        device: where collectives of tensors are done.
    """
    if group.is_alone():
        assert state is not None, "rank 0 has one"
        return state
    tensors: list[torch.Tensor] = []
    collect(state, tensors)
    structure = group.broadcast_object(replaced(state, (_blank(tensor) for tensor in tensors)))
    if not group.is_source():
        state = _filled(structure, tensors := [])
    views = [_bytes(tensor) for tensor in tensors]
    for pieces in _blocks(views, block_bytes):
        block = torch.cat(pieces)
        group.broadcast_host_tensor(block, device)
        if not group.is_source():
            for piece, received in zip(pieces, block.split([len(piece) for piece in pieces]), strict=True):
                piece.copy_(received)
    assert state is not None, "rank 0 has one"
    return state


def _blank(tensor: torch.Tensor) -> Blank:
    stride = tensor.stride() if _in_memory_order(tensor).is_contiguous() else tensor.contiguous().stride()
    return Blank(tuple(tensor.shape), tuple(stride), tensor.dtype)


def _filled(structure: Any, tensors: list[torch.Tensor]) -> Any:
    """The same containers with a tensor for each Blank; they are appended to `tensors`, in the order of `collect`."""
    if isinstance(structure, Blank):
        tensors.append(torch.empty_strided(structure.shape, structure.stride, dtype=structure.dtype))
        return tensors[-1]
    if isinstance(structure, dict):
        return {key: _filled(item, tensors) for key, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(_filled(item, tensors) for item in structure)
    return structure


def _in_memory_order(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor with its dimensions in the order in which they lie in memory."""
    strides = tensor.stride()
    return tensor.permute(sorted(range(tensor.dim()), key=lambda dimension: -strides[dimension]))


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor's memory as bytes, one-dimensional; a copy of it where it has gaps."""
    ordered = _in_memory_order(tensor)
    return (ordered if ordered.is_contiguous() else tensor.contiguous()).reshape(-1).view(torch.uint8)


def _blocks(views: Sequence[torch.Tensor], block_bytes: int) -> Iterator[list[torch.Tensor]]:
    """The views, cut where a block is full; the same on every rank."""
    pieces: list[torch.Tensor] = []
    left = block_bytes
    for view in views:
        while len(view) > 0:
            pieces.append(view[:left])
            left, view = left - len(pieces[-1]), view[left:]
            if left == 0:
                yield pieces
                pieces, left = [], block_bytes
    if pieces:
        yield pieces
