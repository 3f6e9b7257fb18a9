"""Masks as run lengths: COCO's text, there and back."""

from __future__ import annotations

import numpy as np
import pytest

from yoloscale.predictions import rle


def _reference(mask: np.ndarray) -> str:
    """cocoapi's rleEncode and rleToString, number by number."""
    counts, before, length = [], 0, 0
    for value in mask.T.ravel():
        if bool(value) != bool(before):
            counts.append(length)
            before, length = value, 0
        length += 1
    counts.append(length)
    text = ""
    for index, count in enumerate(counts):
        number = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            low = number & 31
            number >>= 5
            more = number != -1 if low & 16 else number != 0
            text += chr((low | 32 if more else low) + 48)
    return text


MASKS = {
    "empty": np.zeros((5, 7), bool),
    "full": np.ones((5, 7), bool),
    "first pixel": np.eye(1, 35, 0, dtype=bool).reshape(5, 7),
    "last pixel": np.eye(1, 35, 34, dtype=bool).reshape(5, 7),
    "whole columns": np.repeat(np.array([[0, 1, 1, 0, 1, 1, 1]], bool), 5, axis=0),
    "one row": np.array([[1, 0, 0, 1, 1]], bool),
    "one column": np.array([[1], [0], [1]], bool),
    "large": np.pad(np.ones((400, 3000), bool), ((200, 480), (100, 900))),
}


@pytest.mark.parametrize("name", MASKS)
def test_is_cocos_text_and_comes_back(name: str) -> None:
    mask = MASKS[name]
    counts = rle.encode(mask)
    assert counts == _reference(mask)
    assert np.array_equal(rle.decode(counts, *mask.shape), mask)
    assert rle.area(counts) == mask.sum()


def test_noise_comes_back() -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        height, width = generator.integers(1, 40, 2)
        mask = generator.random((height, width)) < generator.random()
        counts = rle.encode(mask)
        assert counts == _reference(mask)
        assert np.array_equal(rle.decode(counts, height, width), mask)


def test_the_text_of_pycocotools() -> None:
    mask = np.zeros((9, 7), bool)
    mask[2:5, 1:4] = mask[8, 6] = True
    assert rle.encode(mask) == ";36000h0N"


@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 4), (-2, -3), (8, 9), (50, 60)])
def test_lies_where_it_is_put(top: int, left: int) -> None:
    mask = np.random.default_rng(1).random((6, 5)) < 0.5
    whole = np.zeros((30, 30), bool)
    whole[10 + top : 16 + top, 10 + left : 15 + left] = mask[: max(20 - top, 0), : max(20 - left, 0)]
    image = whole[10:22, 10:24]
    assert rle.encode_at(mask, top, left, 12, 14) == rle.encode(image)


@pytest.mark.parametrize("counts", ["5", "o", "0" * 3 + "Y"])
def test_other_counts_are_refused(counts: str) -> None:
    with pytest.raises(ValueError, match="run lengths"):
        rle.decode(counts, 4, 6)
