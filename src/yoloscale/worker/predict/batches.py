"""Which images of a unit go through the model together: a function of their shapes and their order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(
    images: Iterable[T], shape: Callable[[T], tuple[int, ...]], limit: int, most_waiting: int
) -> Iterator[list[T]]:
    """Lists of `limit` images of one shape, each as soon as it is full; what is left of a unit comes at its end.

    Args:
        images: in the order of the manifest.
        most_waiting: images that wait for others of their shape; beyond it, the shape that has waited longest goes
            as it is. It depends on the images alone, so the batches are the same wherever the unit is done.
    """
    waiting: dict[tuple[int, ...], list[T]] = {}
    count = 0
    for image in images:
        batch = waiting.setdefault(shape(image), [])
        batch.append(image)
        count += 1
        if len(batch) == limit:
            count -= limit
            yield waiting.pop(shape(image))
        elif count > most_waiting:
            batch = waiting.pop(next(iter(waiting)))
            count -= len(batch)
            yield batch
    yield from waiting.values()
