"""The ranks hold one state. Whether they still do is looked at before each evaluation, by 64 bits of every rank's.

Equal gradients make equal parameters as long as every machine computes alike. Memory that flips a bit, two kinds of
GPU in one job, or an operation that is not what it seems make ranks drift apart, and nothing else would ever say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import torch

from yoloscale.checkpoint.transfer import dense, in_memory
from yoloscale.system.formatting import and_more, rank_name

BLOCK = 2**22  # numbers that are mixed at once: 32 MiB, a few times
NAMED = 4  # ranks that a message names
CAUSES = (
    "Memory or a GPU that computes wrongly (look at ECC errors there, leave the node out), or different kinds of GPU "
    "in one job (ask for one kind)"
)
GOES_ON = "The run goes on from its newest checkpoint"
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_ODD = (-7046029254386353131, -4658895280553007687)  # multiplying by them loses no bit (those of SplitMix64)


class ReplicasDifferError(RuntimeError):
    """The ranks no longer hold the same parameters; the message says which, where, and what to do."""


@torch.no_grad()
def fingerprint(tensors: Iterable[torch.Tensor]) -> int:
    """64 bits of the tensors' bits, in order; a change of any single number changes them. Synchronises once.

    Integer arithmetic modulo 2^64, so it does not depend on the order in which a device sums.
    """
    sums = [_mixed(block, number) for number, block in enumerate(_blocks(tensors))]
    return int(torch.stack(sums).sum()) if sums else 0


def _mixed(block: torch.Tensor, number: int) -> torch.Tensor:
    """The sum of a block's numbers, each first mixed with its place by steps that can be undone."""
    places = torch.arange(number * 2 * BLOCK, number * 2 * BLOCK + len(block), device=block.device)
    mixed = block.to(torch.int64).add_(places.mul_(_ODD[0])).mul_(_ODD[1])
    mixed ^= (mixed >> 32) & 0xFFFFFFFF
    return mixed.mul_(_ODD[0]).sum()


def _blocks(tensors: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The tensors' bits as integers, many small tensors at once, a large one in pieces."""
    pending: list[torch.Tensor] = []
    for tensor in tensors:
        flat = in_memory(dense(tensor.detach())).view(_INTEGERS[tensor.element_size()])
        for piece in flat.split(BLOCK):
            same = not pending or pending[0].dtype == piece.dtype
            if not same or sum(map(len, pending)) + len(piece) > BLOCK:
                yield torch.cat(pending)
                pending = []
            pending.append(piece)
    if pending:
        yield torch.cat(pending)


def difference(fingerprints: Sequence[int], hosts: Sequence[str], agreed_at: int) -> str | None:
    """A sentence about ranks that hold another state than most, by every rank's fingerprint; None if all are equal.

    Args:
        hosts: of every rank, in rank order.
        agreed_at: optimiser steps after which they last held the same.
    """
    counts = Counter(fingerprints)
    if len(counts) == 1:
        return None
    (usual, count), (_, next_count), *_ = counts.most_common()
    if count == next_count:  # of two ranks, or two halves, nobody can tell which is right
        return _undecided(fingerprints, hosts, agreed_at)
    odd = [rank for rank, bits in enumerate(fingerprints) if bits != usual]
    names = and_more([rank_name(rank, hosts[rank]) for rank in odd], NAMED)
    others = "the other rank" if count == 1 else f"the other {count} ranks"
    sentence = (
        f"{names} no longer {'holds' if len(odd) == 1 else 'hold'} the parameters of {others}; after step "
        f"{agreed_at} all were equal. {CAUSES}. {GOES_ON}"
    )
    return sentence + _checkpoints_in_doubt(agreed_at) if 0 in odd else sentence


def _undecided(fingerprints: Sequence[int], hosts: Sequence[str], agreed_at: int) -> str:
    """The sentence where no state is held by more ranks than any other."""
    groups: dict[int, list[int]] = {}
    for rank, bits in enumerate(fingerprints):
        groups.setdefault(bits, []).append(rank)
    names = and_more([rank_name(ranks[0], hosts[ranks[0]]) for ranks in groups.values()], NAMED)
    return (
        f"the ranks hold {len(groups)} kinds of parameters, none of them more ranks than any other (the first of each: "
        f"{names}); after step {agreed_at} all were equal. {CAUSES}. {GOES_ON}{_checkpoints_in_doubt(agreed_at)}"
    )


def _checkpoints_in_doubt(agreed_at: int) -> str:
    return (
        ". Rank 0 writes the checkpoints: to be sure, cancel the run, move those of checkpoints/ away that are "
        f"newer than step {agreed_at}, and resume it"
    )
