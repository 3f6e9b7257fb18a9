"""Batches follow from the shapes and their order, and from nothing else."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from yoloscale.worker.predict.batches import batches


class Image(NamedTuple):
    number: int
    shape: tuple[int, ...]


def images(shapes: str) -> list[Image]:
    return [Image(number, (ord(shape),)) for number, shape in enumerate(shapes)]


def grouped(shapes: str, limit: int, most_waiting: int = 99) -> list[str]:
    found = batches(images(shapes), lambda image: image.shape, limit, most_waiting)
    return ["".join(chr(image.shape[0]) + str(image.number) for image in batch) for batch in found]


def test_full_batches_come_at_once_and_the_rest_at_the_end() -> None:
    assert grouped("abaabb", 2) == ["a0a2", "b1b4", "a3", "b5"]
    assert grouped("abc", 1) == ["a0", "b1", "c2"]
    assert grouped("", 4) == []


def test_what_has_waited_longest_goes_when_too_many_wait() -> None:
    assert grouped("abcd", 2, most_waiting=2) == ["a0", "b1", "c2", "d3"]
    assert grouped("abca", 3, most_waiting=2) == ["a0", "b1", "c2", "a3"]


@pytest.mark.parametrize("seed", range(20))
def test_every_image_once_each_with_its_like(seed: int) -> None:
    generator = random.Random(seed)
    shapes = "".join(generator.choices("abcde", k=generator.randrange(1, 80)))
    limit, most_waiting = generator.randrange(1, 9), generator.randrange(1, 20)

    found = list(batches(images(shapes), lambda image: image.shape, limit, most_waiting))

    assert sorted(image.number for batch in found for image in batch) == list(range(len(shapes)))
    for batch in found:
        assert len({image.shape for image in batch}) == 1
        assert len(batch) <= limit
        assert [image.number for image in batch] == sorted(image.number for image in batch)


def test_no_more_than_asked_for_are_taken_before_a_batch_comes() -> None:
    taken = []

    def stream() -> object:
        for image in images("aab" * 10):
            taken.append(image)
            yield image

    next(batches(stream(), lambda image: image.shape, 2, 99))  # type: ignore[arg-type]
    assert len(taken) == 2
