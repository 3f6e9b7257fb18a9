"""Ultralytics' data sets as functions of (index, mosaic on or off): nothing a sample depends on is left in a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
from torch.utils.data import default_collate

from yoloscale.data.cache import Image, NodeImages, Read
from yoloscale.data.rectangles import Rectangles
from yoloscale.yolo.augmentations import seed_by_sample


class UltralyticsSamples:
    """`data.loader.SampleSource` around a training set of Ultralytics.

    Mosaic takes its partners from the whole set, not from a buffer of recently loaded images, so that a sample does
    not depend on what its worker happened to load before. With `rect=true` a sample is told the shape of its batch;
    `rectangles` is what batches are made of then, else None.
    """

    def __init__(self, dataset: Any, args: Any) -> None:
        self.dataset = dataset
        self.rectangles = rectangles_of(dataset) if args.rect and has_rectangles(dataset) else None
        if self.rectangles is not None:
            dataset.rect, dataset.batch = True, np.zeros(len(dataset), np.uint8)  # one shape at a time, see `sample`
        if hasattr(dataset, "close_mosaic"):  # all but classification
            assert dataset.cache == "ram", "mosaic would draw from a buffer"
            dataset.transforms = dataset.build_transforms(hyp=copy(args))
            self.has_albumentations = seed_by_sample(dataset.transforms, bool(getattr(args, "augmentations", None)))
            self._closed = copy(dataset)
            self._closed.close_mosaic(hyp=copy(args))
            seed_by_sample(self._closed.transforms, bool(getattr(args, "augmentations", None)))
        else:
            self.has_albumentations = False
            self._closed = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def sample(self, index: int, mosaic_closed: bool, shape: tuple[int, int] | None = None) -> dict[str, Any]:
        dataset = self._closed if mosaic_closed else self.dataset
        if self.rectangles is not None:
            dataset.batch_shapes = [shape or self.rectangles.largest]  # also of what is pasted in from other images
        sample: dict[str, Any] = dataset[index]
        sample.pop("rect_shape", None)
        return {**sample, "sample_id": index}

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        collate: Callable[[Any], dict[str, Any]] = getattr(self.dataset, "collate_fn", default_collate)
        return collate(list(samples))


def has_rectangles(dataset: Any) -> bool:
    """Whether Ultralytics can train on batches of like-shaped images of this set: not for classes, nor RT-DETR."""
    from ultralytics.models.rtdetr.val import RTDETRDataset

    return hasattr(dataset, "set_rectangle") and not isinstance(dataset, RTDETRDataset)


def rectangles_of(dataset: Any) -> Rectangles:
    """The shape that each image of a set would have in a batch of its own, as Ultralytics' `set_rectangle` has it."""
    shapes = np.array([label["shape"] for label in dataset.labels])
    ratios = shapes[:, 0] / shapes[:, 1]
    sides = np.stack([np.minimum(ratios, 1), np.minimum(1 / ratios, 1)], axis=1)
    return Rectangles(np.ceil(sides * dataset.imgsz / dataset.stride + dataset.pad).astype(np.int64) * dataset.stride)


def files(dataset: Any) -> list[str]:
    """The image files of a data set, in its order."""
    return list(dataset.im_files) if hasattr(dataset, "im_files") else [sample[0] for sample in dataset.samples]


def reader(dataset: Any) -> Read:
    """How the data set decodes (and, but for classification, resizes) an image."""
    if hasattr(dataset, "im_files"):

        def read(index: int) -> tuple[Image, tuple[int, int]]:
            image, original, _ = dataset.load_image(index)
            return np.asarray(image), original

        return read

    def decode(index: int) -> tuple[Image, tuple[int, int]]:
        image = np.asarray(dataset.imread(dataset.samples[index][0]))
        return image, (image.shape[0], image.shape[1])

    return decode


def attach(dataset: Any, images: NodeImages) -> None:
    """Let the data set take its decoded images from the node's shared copy."""
    if hasattr(dataset, "im_files"):

        def load_image(index: int, *_: Any, **__: Any) -> tuple[Image, tuple[int, int], tuple[int, int]]:
            image = images[index]
            return image, images.originals[index], (image.shape[0], image.shape[1])

        dataset.load_image = load_image
    else:
        dataset.cache_ram, dataset.img_cache = True, images
