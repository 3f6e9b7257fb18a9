"""A model that is asked about many images, one answer each, whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yoloscale.config.schema import Task
from yoloscale.yolo.inference import slices, tasks
from yoloscale.yolo.inference.pending import Outputs, Pending, reading_stream
from yoloscale.yolo.inference.pictures import Picture
from yoloscale.yolo.inference.prediction import Prediction
from yoloscale.yolo.inference.prepare import Preparation, Prepared
from yoloscale.yolo.inference.settings import InferenceSettings
from yoloscale.yolo.inference.weights import Weights
from yoloscale.yolo.numerics import machine_of, repeatable


class Predictor:
    """A model on a device, and the way from a picture to what is found in it.

    On a CPU the images are taken one by one: an image's last bits depend on its place in a batch there. On a GPU a
    batch is always full, with blank images at its end where there are too few. Threads within an operation are the
    caller's to set.

    Args:
        weights: a `.pt`, or whatever Ultralytics exports.

    Raises ConfigError for what these weights cannot do.
    """

    def __init__(self, weights: str | Path, settings: InferenceSettings, device: torch.device | str) -> None:
        self.settings = settings
        self._weights = Weights(weights, settings, torch.device(device))
        self._preparation = Preparation(self._weights, settings)
        self._reading = reading_stream(self._weights.device)

    @property
    def task(self) -> Task:
        """What the model is for."""
        return self._weights.task

    @property
    def names(self) -> dict[int, str]:
        """Of the classes."""
        return self._weights.names

    @property
    def imgsz(self) -> tuple[int, int]:
        """Height and width that images are fitted into, in pixels."""
        return self._weights.imgsz

    @property
    def channels(self) -> int:
        """Of the images; `decode` needs to know."""
        return self._weights.channels

    @property
    def batch(self) -> int:
        """Images of a forward pass."""
        return self._weights.batch

    @property
    def kpt_shape(self) -> tuple[int, int] | None:
        """Keypoints of an object, and numbers of a keypoint; None for other tasks."""
        return self._weights.kpt_shape

    @property
    def precision(self) -> str:
        """The numbers that the model computes with: fp32, fp16, bf16, or int8 and the like of an exported file."""
        return self._weights.precision

    @property
    def machine(self) -> dict[str, str | bool]:
        """What else decides the last bits of a result: the device, its instructions, what it rounds."""
        return machine_of(self._weights.device, self._weights.precision)

    def prepare(self, image: Picture) -> Prepared:
        """The image as the model takes it. Safe in threads."""
        return self._preparation(image)

    def predict(self, images: Sequence[Prepared]) -> list[Prediction]:
        """What is found in each image of a batch: equal shapes, no more than `batch` of them."""
        return self.forward(images).results()

    def forward(self, images: Sequence[Prepared]) -> Pending:
        """Send a batch through the model: equal shapes, no more than `batch` of them; an image with slices alone.

        On a GPU it comes back before the model is done, and waits for nothing. The results may be read in another
        thread while the next batch goes through the model in this one.
        """
        assert len({image.shape for image in images}) == 1
        if self.settings.slice is not None:
            (image,) = images
            return self._sliced(image)
        assert len(images) <= self.batch
        sources = [(image.height, image.width) for image in images]
        return self._forward([image.pixels[0] for image in images], sources)

    def _sliced(self, image: Prepared) -> Pending:
        """Memory holds the outputs of two batches of slices, however many there are."""
        answers: list[Prediction] = []
        last: Pending | None = None
        for group in _alike(image.pixels, self.batch):
            sources = [(image.windows[place].height, image.windows[place].width) for place in group]
            pending = self._forward([image.pixels[place] for place in group], sources)
            answers += last.results() if last is not None else []
            last = pending
        assert last is not None
        unread, settings = last, self.settings

        def merge() -> list[Prediction]:
            parts = list(zip(image.windows, answers + unread.results(), strict=True))
            if len(parts) == 1:
                return [parts[0][1]]
            whole = slices.merge(
                parts,
                image.height,
                image.width,
                iou=settings.iou,
                agnostic=settings.agnostic_nms,
                max_det=settings.max_det,
            )
            return [whole]

        return Pending(merge)

    @repeatable()
    @torch.inference_mode()
    def _forward(self, pixels: Sequence[Any], sources: Sequence[tuple[int, int]]) -> Pending:
        images = self._on_device(pixels)
        raw = self._weights(images, self.settings)
        outputs = Outputs(raw, self._reading, is_reused=self._weights.format != "pt")
        height, width = images.shape[2:]

        def read() -> list[Prediction]:
            with outputs as values:
                return tasks.read(values, self._weights, self.settings, (height, width), sources)

        return Pending(read)

    def _on_device(self, pixels: Sequence[Any]) -> torch.Tensor:
        """N × C × H × W in 0…1: sent in 8 bits, made numbers there."""
        weights = self._weights
        missing = weights.batch - len(pixels)
        if len(pixels) == 1 and not missing:
            stack = torch.from_numpy(pixels[0])[None]
        else:
            stack = torch.from_numpy(np.stack([*pixels, *[np.zeros_like(pixels[0])] * missing]))
        if weights.device.type == "cuda":
            stack = stack.pin_memory().to(weights.device, non_blocking=True)
        if stack.dtype != torch.uint8:  # a classifier's own transforms have done it all
            return stack.to(weights.device, weights.dtype)
        images = stack.permute(0, 3, 1, 2)
        if not weights.is_channels_last:
            images = images.contiguous()
        images = (images.half() if weights.backend.fp16 else images.float()).div_(255)
        if self._preparation.normalise is not None:
            images = self._preparation.normalise(images)
        return images.to(weights.dtype)


def _alike(pixels: Sequence[Any], limit: int) -> list[list[int]]:
    """Places of equal shapes, in order, no more than `limit` together."""
    groups: list[list[int]] = []
    for place, array in enumerate(pixels):
        last = groups[-1] if groups else None
        if last is None or len(last) == limit or pixels[last[0]].shape != array.shape:
            groups.append([place])
        else:
            last.append(place)
    return groups
