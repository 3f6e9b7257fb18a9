"""An image made ready for a model, by the image alone; in any thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from ultralytics.data.augment import LetterBox, classify_transforms

from yoloscale.config.schema import Task
from yoloscale.yolo.inference.pictures import Picture
from yoloscale.yolo.inference.settings import InferenceSettings
from yoloscale.yolo.inference.slices import Window, windows
from yoloscale.yolo.inference.weights import Weights

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Prepared:
    """An image, ready: the pixels for the model, and where they come from.

    Args:
        height, width: of the source.
        windows: what parts of the source; the whole only, but for sliced inference.
        pixels: of each window, as the model takes them: height × width × channels in RGB, 8 bits; or channels first,
            32 bits and normalised, where a classifier has transforms of its own.
    """

    height: int
    width: int
    windows: tuple[Window, ...]
    pixels: tuple[Pixels, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Images with equal ones may be predicted together."""
        return tuple(side for pixels in self.pixels for side in pixels.shape)


class Preparation:
    """What Ultralytics does to one image before the model sees it."""

    def __init__(self, weights: Weights, settings: InferenceSettings) -> None:
        self._settings = settings
        self.normalise: Callable[[Any], Any] | None = None  # on the device, after division by 255
        if weights.task is Task.classify:
            self._transform = self._of_classifier(weights)
        else:
            stretches = weights.is_rtdetr or weights.task is Task.depth
            auto = settings.rect and not stretches and weights.takes_any_size
            letterbox: Any = LetterBox(weights.imgsz, auto=auto, scale_fill=stretches, stride=weights.stride)
            self._transform = lambda image: _rgb(letterbox(image=image))

    def __call__(self, image: Picture) -> Prepared:
        height, width = image.shape[:2]
        parts = [Window(0, 0, width, height)]
        if self._settings.slice is not None:
            parts = windows(height, width, self._settings.slice, self._settings.slice_overlap)
        pixels = [
            self._transform(image[part.top : part.top + part.height, part.left : part.left + part.width])
            for part in parts
        ]
        return Prepared(height, width, tuple(parts), tuple(pixels))

    def _of_classifier(self, weights: Weights) -> Callable[[Picture], Pixels]:
        """Resize and crop in 8 bits where the transforms are Ultralytics' usual ones, else all of them here."""
        from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

        transforms = weights.transforms
        size = getattr(transforms.transforms[0], "size", weights.imgsz) if transforms is not None else None
        size = (size, size) if isinstance(size, int) else size
        if size is None or tuple(size) != tuple(weights.imgsz) or weights.format != "pt":
            transforms = classify_transforms(weights.imgsz)
        steps: Any = getattr(transforms, "transforms", ())
        usual = (Resize, CenterCrop, ToTensor, Normalize)
        if type(transforms) is Compose and tuple(map(type, steps)) == usual and weights.channels == 3:
            on_host = Compose(steps[:2])
            self.normalise = steps[-1]
            return lambda image: _rgb(np.array(on_host(Image.fromarray(image))))
        everything: Any = transforms
        return lambda image: everything(Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))).numpy()


def _rgb(pixels: Pixels) -> Pixels:
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if pixels.shape[2] == 3 else pixels
