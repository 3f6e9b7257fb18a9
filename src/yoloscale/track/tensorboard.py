"""TensorBoard event files below the run directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from yoloscale.track.tracker import Tracker

MAX_PIXELS = 1280  # of a picture's longer side


class TensorBoardTracker(Tracker):
    """Writes to RUN/tensorboard; one file per start, which TensorBoard joins by step."""

    def __init__(self, folder: Path) -> None:
        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, values: Mapping[str, float], step: int, *, is_epoch: bool) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        if is_epoch:
            self._writer.flush()

    def media(self, images: Mapping[str, Path], step: int) -> None:
        for name, path in images.items():
            with Image.open(path) as image:
                image.thumbnail((MAX_PIXELS, MAX_PIXELS))
                self._writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self, exit_code: int) -> None:
        self._writer.close()
