"""Batches of like-shaped images (`rect=true`), dealt out anew in each epoch as a function of (seed, epoch).

Each image has a rectangle: the shape it would be given in a batch of its own. The images are sorted by it, from wide
to tall, and cut into batches; a batch has the smallest shape that holds the rectangles of its images. That gives the
shapes of Ultralytics' `rect=True`, which sorts by aspect ratio. It trains on the same batches in the same order in each
epoch; here images of one rectangle are shuffled among themselves, then the batches as wholes. A short batch is cut out
at another place in each epoch and comes last, so that leaving it out does not always hit the tallest images.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from yoloscale.data.permutation import permutation
from yoloscale.data.seeds import derive

Indices = npt.NDArray[np.int64]


class Rectangles:
    """The rectangles of a training set, in pixels.

    Args:
        shapes: (images, 2), height and width. The longer side is the same for all of them.
    """

    def __init__(self, shapes: Indices) -> None:
        assert shapes.ndim == 2, shapes.shape
        self.shapes = shapes
        distinct, self._kinds = np.unique(shapes * [1, -1], axis=0, return_inverse=True)  # from wide to tall
        self._kinds = self._kinds.reshape(-1).astype(np.min_scalar_type(len(distinct)))  # small: sorted by radix
        self.largest: tuple[int, int] = tuple(shapes.max(axis=0).tolist())

    def __len__(self) -> int:
        return len(self.shapes)

    def digest(self) -> str:
        """Equal where the rectangles are, on any machine."""
        return blake2b(self.shapes.astype("<i8").tobytes(), digest_size=8).hexdigest()

    def sort(self, order: Indices) -> Indices:
        """`order` sorted from wide to tall; equals stay in their order."""
        return order[np.argsort(self._kinds[order], kind="stable")]


class Dealt(NamedTuple):
    """An epoch: the images in their order, and (height, width) of each batch of it."""

    order: Indices
    shapes: Indices


@lru_cache(maxsize=2)
def deal(rectangles: Rectangles, batch: int, seed: int, epoch: int) -> Dealt:
    """Batches of `batch` images, which lie one after the other in the order of the epoch; the last may be short."""
    images = len(rectangles)
    count, rest = divmod(images, batch)
    shuffled = permutation(images, seed, epoch)
    sorted_ = rectangles.sort(shuffled)
    cut = derive("short batch", seed, epoch) % (count + 1) * batch
    whole = np.concatenate([sorted_[:cut], sorted_[cut + rest :]]).reshape(count, batch)
    if count:
        whole = whole[permutation(count, derive("batches", seed), epoch)]
    place = np.empty(images, np.int64)
    place[shuffled] = np.arange(images)
    whole = np.take_along_axis(whole, np.argsort(place[whole], axis=1), axis=1)  # no rank gets all the wide ones
    shapes = rectangles.shapes[whole].max(axis=1)
    short = sorted_[cut : cut + rest]
    if rest:
        shapes = np.concatenate([shapes, rectangles.shapes[short].max(axis=0)[None]])
    dealt = Dealt(np.concatenate([whole.reshape(-1), short]), shapes)
    for array in dealt:
        array.setflags(write=False)
    return dealt
