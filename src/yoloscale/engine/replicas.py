"""Whether the ranks still hold the same model, by one number of 64 bits that each makes of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from yoloscale.dist.group import gather_objects

BLOCK = 2**22  # values that are looked at together: it bounds the memory, 64 MiB
SHOWN = 4  # ranks that a message names


class ReplicaError(RuntimeError):
    """The ranks have come apart: what one computes from the same gradients is not what another does."""


def fingerprint(module: nn.Module) -> int:
    """A number of the bits of all parameters and floating-point buffers, in order; a few kernels for each 4 M values.

    It is Σ bits(i) · (2i + 1) modulo 2⁶⁴ over the values' bits as 32-bit integers. Sums of integers do not depend on
    their order, and as the factors are odd, no change of a single value leaves the number as it was.
    """
    total, start = 0, 0
    for block in _blocks(_bits(tensor) for tensor in _tensors(module)):
        factors = torch.arange(2 * start + 1, 2 * (start + len(block)) + 1, 2, device=block.device)
        total += int((block.long() * factors).sum())
        start += len(block)
    return total % 2**64


def check(step: int, module: nn.Module, hosts: Sequence[str]) -> None:
    """Collective. Raise ReplicaError on all ranks unless all hold the same model after `step` optimiser steps.

    `hosts`: of every rank, in rank order.
    """
    seen = gather_objects(fingerprint(module))
    if len(set(seen)) > 1:
        raise ReplicaError(describe(step, seen, hosts))


def describe(step: int, seen: Sequence[int], hosts: Sequence[str]) -> str:
    """A sentence for people; `seen` are the numbers of all ranks, in rank order."""
    common = max(seen, key=seen.count)
    if 2 * seen.count(common) > len(seen):
        apart = [rank for rank, number in enumerate(seen) if number != common]
        which = (
            f"the model of {_named(apart, hosts)} is no longer that of the other ranks, which got the same gradients"
        )
    else:  # nobody can tell which of them is right
        which = f"the models of {_named(range(len(seen)), hosts)} differ, though all got the same gradients"
    return (
        f"step {step}: {which}: a GPU that computes wrongly, or GPUs of different kinds in one job (ask for one kind; "
        "optimizer=SGD or AdamW depend less on it than MuSGD)"
    )


def _named(ranks: Sequence[int], hosts: Sequence[str]) -> str:
    shown = [f"rank {rank} on {hosts[rank]}" for rank in ranks[:SHOWN]]
    more = [f"{len(ranks) - SHOWN} more"] if len(ranks) > SHOWN else []
    return " and ".join(filter(None, [", ".join((shown + more)[:-1]), (shown + more)[-1]]))


def _tensors(module: nn.Module) -> Iterable[torch.Tensor]:
    yield from (parameter.detach() for parameter in module.parameters())
    yield from (buffer for buffer in module.buffers() if buffer.is_floating_point())


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The values' bits as int32, one-dimensional; those of fewer bits are widened, which loses nothing."""
    wide = tensor if tensor.element_size() in (4, 8) else tensor.float()
    return wide.reshape(-1).view(torch.int32)


def _blocks(parts: Iterable[torch.Tensor]) -> Iterable[torch.Tensor]:
    """The parts, one after the other, in pieces of BLOCK values; the last one is shorter."""
    waiting: list[torch.Tensor] = []
    count = 0
    for part in parts:
        for piece in part.split(BLOCK):
            waiting.append(piece)
            count += len(piece)
            if count >= BLOCK:
                joined = torch.cat(waiting)
                yield joined[:BLOCK]
                waiting, count = [joined[BLOCK:]], count - BLOCK
    if count:
        yield torch.cat(waiting)
