"""One permutation of the images for each (seed, epoch), the same on every machine and in every release of numpy."""

from __future__ import annotations

from collections.abc import MutableSequence
from functools import lru_cache
from math import isqrt

import numpy as np
import numpy.typing as npt

from yoloscale.data.seeds import derive

WORDS = 2**15  # of 32 bits, drawn from a stream at a time
FEW = 2**17  # indices for which it costs less to shuffle them one after the other


@lru_cache(maxsize=2)
def permutation(samples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The sample indices of one epoch (counted from 0) in the order all ranks together consume them.

    Fisher and Yates' shuffle, written out: what `numpy.random.Generator.permutation` returned up to numpy 2.4, which
    may return something else in any later release (NEP 19), while raw streams and their seeding never change.
    """
    assert samples < 2**32, samples
    partners = _partners(samples, np.random.Philox(derive("order", seed, epoch)))
    order = _shuffled(samples, partners)
    order.setflags(write=False)
    return order


def _shuffled(samples: int, partners: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """0 to `samples` - 1, after each index from the last one down to 1 has changed places with its partner, in turn."""
    order = np.arange(samples, dtype=np.int64)
    done = 0
    while len(partners) - done >= FEW:  # many at once, which is the same as long as none of them meet
        top = len(partners) - done
        size = min(isqrt(top) // 4, 512)  # so that one block in sixteen is done step by step
        others, low = partners[done : done + size], top - size + 1
        ordered = np.sort(others)
        if ordered[-1] < low and (ordered[1:] != ordered[:-1]).all():
            order[others], order[low : top + 1] = order[low : top + 1][::-1], order[others][::-1]
        else:
            _swap(order, top, others)
        done += size
    rest = order[: samples - done].tolist()  # a list: the fastest for one element at a time
    _swap(rest, len(rest) - 1, partners[done:])
    order[: len(rest)] = rest
    return order


def _swap(order: MutableSequence[int] | npt.NDArray[np.int64], top: int, partners: npt.NDArray[np.uint32]) -> None:
    for index, partner in zip(range(top, -1, -1), partners.tolist(), strict=False):
        order[index], order[partner] = order[partner], order[index]


def _partners(samples: int, stream: np.random.BitGenerator) -> npt.NDArray[np.uint32]:
    """For each of `samples` indices, from the last one down to 1, a uniform one that is not above it.

    Drawn one after the other: 32 bits of the stream, the low half of a word first, masked to the fewest bits that the
    index needs; what is above the index is passed over. Done here for many words at once.
    """
    words, used = _words(stream), 0
    partners = [np.zeros(0, np.uint32)]
    top = samples - 1
    while top > 0:
        if used == len(words):
            words, used = _words(stream), 0
        lowest = 1 << (top.bit_length() - 1)  # of those that share the mask
        block = words[used:] & np.uint32(2 * lowest - 1)
        ends = np.flatnonzero(_not_above(block, top))[: top - lowest + 1]
        partners.append(block[ends])
        used = used + int(ends[-1]) + 1 if len(ends) == top - lowest + 1 else len(words)
        top -= len(ends)
    return np.concatenate(partners)


def _not_above(block: npt.NDArray[np.uint32], top: int) -> npt.NDArray[np.bool_]:
    """Which words are taken, where each one that is lowers the limit `top` of those behind it by one."""
    is_taken = block <= top
    while True:  # each pass settles at least one more from the front, in practice nearly all
        limits = top - (np.cumsum(is_taken) - is_taken)
        better = block <= limits
        if np.array_equal(better, is_taken):
            return better
        is_taken = better


def _words(stream: np.random.BitGenerator) -> npt.NDArray[np.uint32]:
    halves: npt.NDArray[np.uint32] = stream.random_raw(WORDS // 2).astype("<u8").view("<u4")
    return halves
