"""A sheet of small pictures: images of a prediction, spread over the whole of it, with what was found in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps

from yoloscale.manifest import table
from yoloscale.manifest.content import Reader, Unreadable
from yoloscale.predictions import parts
from yoloscale.report.prediction.overlay import draw_found, font
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import replacement
from yoloscale.system.formatting import ending, printable

NAME = "sheet.jpg"
COLUMNS, ROWS = 6, 4
CELL_WIDTH, CELL_HEIGHT, CAPTION, GAP = 320, 240, 20, 8  # pixels
_QUALITY = 90
_CAPTION_CHARACTERS = 44
_PAPER, _INK = "white", "#262626"

Row = dict[str, Any]


def draw_sheet(run: RunDirectory, names: Mapping[int, str], base: Path) -> Path | None:
    """Write sheet.jpg; None where no image could be predicted. Images that have gone since say so in their place.

    `base`: the folder that relative sources refer to. Raises OSError.
    """
    rows = chosen_rows(run.path)
    if not rows:
        return None
    lines = -(-len(rows) // COLUMNS)
    size = (COLUMNS * (CELL_WIDTH + GAP) + GAP, lines * (CELL_HEIGHT + CAPTION + GAP) + GAP)
    sheet = Image.new("RGB", size, _PAPER)
    with Reader(base) as reader:
        for place, row in enumerate(rows):
            left = GAP + place % COLUMNS * (CELL_WIDTH + GAP)
            top = GAP + place // COLUMNS * (CELL_HEIGHT + CAPTION + GAP)
            [item] = table.read(run.manifest, row["index"], 1)
            sheet.paste(_cell(row, item, reader, names, run.path), (left, top))
    path = run.path / NAME
    with replacement(path) as part:
        sheet.save(part, "JPEG", quality=_QUALITY)
    return path


def chosen_rows(run_path: Path, count: int = COLUMNS * ROWS) -> list[Row]:
    """Rows of images in which something was found, evenly over the run; of empty ones, where there are no others."""
    import polars as pl

    rows = parts.scan(run_path)
    for status in ("ok", "empty"):
        indices = rows.filter(pl.col("status") == status).select("index").collect(engine="streaming")["index"]
        if len(indices):
            places = np.unique(np.linspace(0, len(indices) - 1, min(count, len(indices))).astype(np.int64))
            chosen = rows.filter(pl.col("index").is_in(indices.gather(places).to_list()))
            return list(chosen.sort("index").collect(engine="streaming").iter_rows(named=True))
    return []


def thumbnail(data: bytes | npt.NDArray[Any], width: int, height: int) -> Image.Image:
    """The image in a file's bytes, or of a decoded frame (BGR), as large as it can be within this, in colours.

    Raises OSError, and what else Pillow raises for content that is no image.
    """
    if isinstance(data, np.ndarray):
        image = Image.fromarray(np.ascontiguousarray(data[..., ::-1]))
    else:
        image = Image.open(BytesIO(data))
        image.draft("RGB", (width, height))  # of a JPEG, no more is decoded than is wanted
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert("RGB")
    return ImageOps.contain(image, (width, height))


def _cell(row: Row, item: table.Item, reader: Reader, names: Mapping[int, str], run_path: Path) -> Image.Image:
    cell = Image.new("RGB", (CELL_WIDTH, CELL_HEIGHT + CAPTION), _PAPER)
    pen = ImageDraw.Draw(cell)
    try:
        image = draw_found(thumbnail(reader.read(item).data, CELL_WIDTH, CELL_HEIGHT), row, names, run_path)
        cell.paste(image, ((CELL_WIDTH - image.width) // 2, (CELL_HEIGHT - image.height) // 2))
    except (Unreadable, OSError, ValueError, Image.DecompressionBombError) as error:
        pen.rectangle((0, 0, CELL_WIDTH - 1, CELL_HEIGHT - 1), outline="#8C8C8C")
        pen.text((8, 8), _wrapped(f"cannot be shown: {error}"), fill=_INK, font=font())
    pen.text((0, CELL_HEIGHT + 3), printable(caption(row)), fill=_INK, font=font())
    return cell


def caption(row: Row) -> str:
    """Index, end of the source and number of the frame."""
    number = f"{row['index']} "
    frame = "" if row["frame"] is None else f" #{row['frame']}"
    return number + ending(row["source"], _CAPTION_CHARACTERS - len(number) - len(frame)) + frame


def _wrapped(text: str, width: int = 42) -> str:
    lines: Sequence[str] = [text[start : start + width] for start in range(0, min(len(text), 6 * width), width)]
    return "\n".join(lines)
