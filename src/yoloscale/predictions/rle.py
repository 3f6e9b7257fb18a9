"""Masks as COCO's compressed run lengths: column by column, zeros first, each length relative to the one two before.

The format is that of pycocotools' `mask.encode` (cocoapi, common/maskApi.c: rleToString), without its Cython.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[Any]  # height × width; whatever is not 0 is inside
Lengths = npt.NDArray[np.int64]

_BITS, _MORE, _SIGN, _FIRST = 5, 32, 16, 48  # of a character: five bits of the number, one for `more`, from '0' on


def encode(mask: Mask) -> str:
    """The counts of a mask, height × width."""
    return encode_at(mask, 0, 0, *mask.shape)


def encode_at(mask: Mask, top: int, left: int, height: int, width: int) -> str:
    """The counts of a mask that lies in an image of height × width with its first pixel at (top, left).

    Pixels outside the image are left out. Costs what the rectangle around the mask's own pixels costs.
    """
    mask = mask[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
    top, left = max(top, 0), max(left, 0)
    columns = np.flatnonzero(mask.any(axis=0)) if mask.size else np.empty(0, np.int64)
    if not len(columns):
        return _text(np.array([height * width], np.int64))
    rows = np.flatnonzero(mask.any(axis=1))
    inner = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] != 0
    top, left = top + int(rows[0]), left + int(columns[0])

    count = inner.shape[0]
    edges = np.zeros((inner.shape[1], count + 1), np.int8)  # a column each; +1 where a run begins, -1 behind its end
    edges[:, :count] = inner.T
    edges[:, 1:] -= inner.T.astype(np.int8)
    column, row = np.nonzero(edges)
    places = (left + column) * height + top + row  # of begin, end, begin, end, …
    if count == height:  # runs over the whole height go on in the next column
        joined = np.flatnonzero(places[1:-1:2] == places[2:-1:2])
        places = np.delete(places, np.concatenate((2 * joined + 1, 2 * joined + 2)))
    lengths = np.diff(places, prepend=0, append=height * width)
    return _text(lengths if lengths[-1] else lengths[:-1])


def decode(counts: str, height: int, width: int) -> npt.NDArray[np.bool_]:
    """The mask of these counts, height × width. Raises ValueError where they are not of such an image."""
    lengths = _numbers(counts)
    if (lengths < 0).any() or int(lengths.sum()) != height * width:
        raise ValueError(f"run lengths of {int(lengths.sum())} pixels in an image of {width}×{height}")
    values = np.arange(len(lengths)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, lengths).reshape(width, height).T)


def area(counts: str) -> int:
    """How many pixels lie inside."""
    return int(_numbers(counts)[1::2].sum())


def _text(lengths: Lengths) -> str:
    rest = lengths.copy()
    rest[3:] -= lengths[1:-2]
    characters, wanted = [], []
    is_open = np.ones(len(rest), bool)
    while is_open.any():
        low = rest & (_MORE - 1)
        rest = rest >> _BITS
        goes_on = np.where(low & _SIGN, rest != -1, rest != 0)
        characters.append(low + _MORE * goes_on + _FIRST)
        wanted.append(is_open)
        is_open = is_open & goes_on
    return bytes(np.stack(characters, axis=1)[np.stack(wanted, axis=1)].astype(np.uint8)).decode("ascii")


def _numbers(counts: str) -> Lengths:
    characters = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - _FIRST
    if not len(characters):
        return np.empty(0, np.int64)
    is_last = (characters & _MORE) == 0
    if not is_last[-1]:
        raise ValueError("run lengths that are cut short")
    ends = np.flatnonzero(is_last)
    begins = np.concatenate(([0], ends[:-1] + 1))
    place = np.arange(len(characters)) - np.repeat(begins, ends - begins + 1)
    numbers = np.add.reduceat((characters & (_MORE - 1)) << (_BITS * place), begins)
    is_negative = (characters[ends] & _SIGN) != 0
    numbers[is_negative] -= 1 << (_BITS * (place[ends][is_negative] + 1))
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
