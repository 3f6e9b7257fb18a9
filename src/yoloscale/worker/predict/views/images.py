"""Pictures and crops of one image, as the bytes of JPEG files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from yoloscale.manifest.content import Reader
from yoloscale.manifest.table import Item
from yoloscale.predictions import maps
from yoloscale.predictions.names import as_folder
from yoloscale.worker.predict.pictures import picture_of
from yoloscale.worker.predict.views.request import ViewRequest
from yoloscale.yolo.inference import drawing
from yoloscale.yolo.inference.results import results
from yoloscale.yolo.inference.rows import prediction_of

Row = Mapping[str, Any]
Image = npt.NDArray[np.uint8]

CROP_QUALITY = 95  # of 100, with all colours: as Ultralytics saves crops
MAX_SIDE = 65_500  # pixels of a JPEG


class NotDrawn(Exception):  # noqa: N818 - reads as what happened
    """There is no picture of this image; the message says why."""


def read_image(reader: Reader, item: Item, row: Row) -> Image:
    """The image (height × width × 3, BGR) in which a row's objects were found.

    Raises the `Unreadable` of manifest/ and of yolo/inference/, and NotDrawn where the file is another one by now.
    """
    image = picture_of(item, reader)
    height, width = image.shape[:2]
    if (height, width) != (row["height"], row["width"]):
        now, before = f"{width}×{height}", f"{row['width']}×{row['height']}"
        raise NotDrawn(f"it was {before} pixels when it was predicted, and is {now} now")
    return image


def picture_file(row: Row, image: Image, request: ViewRequest, run_path: Path) -> bytes:
    """The image with what was found in it, as Ultralytics draws and saves it. Raises NotDrawn."""
    if max(image.shape[:2]) > MAX_SIDE:
        raise NotDrawn(f"a JPEG is at most {MAX_SIDE} pixels wide and high")
    found = results(prediction_of(row, pixel_map(row, run_path)), image, row["source"], dict(request.names))
    drawn = drawing.picture(found, **asdict(request.drawing))
    _, content = cv2.imencode(".jpg", drawn)
    return content.tobytes()


def crop_files(row: Row, image: Image, names: Mapping[int, str], name: str) -> Iterator[tuple[str, bytes]]:
    """Name below crops/ (class, the image's, place of the object in the row) and content of each object's file."""
    found = results(prediction_of(row), image, row["source"], dict(names))
    for place, (number, crop) in enumerate(drawing.crops(found)):
        if crop.size and max(crop.shape[:2]) <= MAX_SIDE:
            file = BytesIO()
            colours = np.ascontiguousarray(crop[..., ::-1])
            Pillow.fromarray(colours).save(file, "JPEG", quality=CROP_QUALITY, subsampling=0)
            yield f"{as_folder(names[number])}/{name}-{place}", file.getvalue()


def pixel_map(row: Row, run_path: Path) -> npt.NDArray[Any] | None:
    """Class numbers or depths (height × width) that a row names; None where its task has no map."""
    if row.get("map") is None:
        return None
    values = maps.read(run_path, row["map"])
    return values.astype(np.int32 if values.dtype == np.uint16 else values.dtype)  # torch computes little with uint16
