"""`python -m yoloscale.datasets.shapes.photographs_worker FOLDER COUNT PART PARTS`: render each PARTS-th picture.

A scene of the built-in dataset, cut to 16:9, with the grain of a sensor on it: without grain, a JPEG is half as large
as one from a camera, and is decoded sooner.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from yoloscale.datasets.shapes import render as shapes_render
from yoloscale.datasets.shapes.photographs import HEIGHT, WIDTH, name_of
from yoloscale.datasets.shapes.scene import Layout, compose, generator
from yoloscale.datasets.shapes.worker import report

GRAIN = 8  # most that a sensor adds to a value, of 255
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]
_SEED = 0


def photograph(index: int) -> shapes_render.Image:
    """A picture of 1080 × 1920 × 3, BGR; a function of its number alone."""
    scene = compose(_SEED, "val", index, WIDTH, Layout.scattered)
    top = (WIDTH - HEIGHT) // 2
    image = shapes_render.paint(scene, generator(_SEED, "val", index, 1))[top : top + HEIGHT]
    grain = generator(_SEED, "val", index, 2).integers(-GRAIN, GRAIN + 1, image.shape, dtype=np.int16)
    return np.asarray(np.clip(image + grain, 0, 255), np.uint8)


def main(root: Path, count: int, part: int, parts: int) -> None:
    """Render pictures number `part`, `part + parts`, … into the folder."""
    cv2.setNumThreads(1)
    mine = range(part, count, parts)
    for done, index in enumerate(mine, start=1):
        encoded, content = cv2.imencode(".jpg", photograph(index), _JPEG)
        if not encoded:
            raise OSError(f"cannot encode picture {index}")
        (root / name_of(index)).write_bytes(content.tobytes())
        if not report(done, len(mine)):
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(number) for number in sys.argv[2:]))
