"""What was found in an image, drawn on a small picture of it; by Pillow, as the launcher has no Ultralytics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from yoloscale.predictions import maps, rle
from yoloscale.predictions.labels import corners
from yoloscale.system.formatting import cut, printable

# distinct on photographs, and for people who tell colours apart badly; classes take them in turn
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
_FONT_PIXELS = 12
_MASK_SHARE, _MAP_SHARE = 0.45, 0.55  # of the colour that lies over the image
_BEST = 3  # classes of a classifier
_MAX_LABEL = 24  # characters

Row = Mapping[str, Any]
Size = tuple[int, int]


@cache
def font() -> Any:
    """The font of all words in pictures: matplotlib's own, which is there wherever matplotlib is."""
    import matplotlib

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(file), _FONT_PIXELS)


def draw_found(image: Image.Image, row: Row, names: Mapping[int, str], run_path: Path) -> Image.Image:
    """A picture with what a row holds; `image` is the row's, in colours, of any size."""
    image = _with_map(image, row, run_path)
    image = _with_masks(image, row)
    pen = ImageDraw.Draw(image)
    scale = np.array([image.width / row["width"], image.height / row["height"]])
    outlines = _outlines(row)
    for outline, number in reversed(list(zip(outlines, row.get("classes") or (), strict=True))):
        points = [tuple(point) for point in (outline * scale).tolist()]
        pen.line([*points, points[0], points[1]], fill=colour(number), width=2)
    for points in row.get("keypoints") or ():
        for x, y in (np.array([point[:2] for point in points]) * scale).tolist():
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=PALETTE[3], outline="black")
    for place, outline in reversed(list(enumerate(outlines))):  # the highest score on top
        text = f"{_name(names, row['classes'][place])} {row['scores'][place]:.2f}"
        x, y = (outline.min(axis=0) * scale).tolist()
        _write(pen, (x, y - _FONT_PIXELS - 3), text, colour(row["classes"][place]), image.size)
    for place, number in enumerate(_best(row.get("probs"))):
        text = f"{_name(names, number)} {row['probs'][number]:.2f}"
        _write(pen, (4, 4 + place * (_FONT_PIXELS + 5)), text, colour(number), image.size)
    return image


def colour(number: int) -> str:
    """The colour of a class."""
    return PALETTE[number % len(PALETTE)]


def _outlines(row: Row) -> list[npt.NDArray[np.float64]]:
    """The corners of each object, in pixels of the source."""
    if row.get("obb"):
        return list(corners(np.array(row["obb"], dtype=np.float32)).astype(np.float64))
    boxes: Sequence[Sequence[float]] = row.get("boxes") or ()
    return [np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) for x1, y1, x2, y2 in boxes]


def _with_masks(image: Image.Image, row: Row) -> Image.Image:
    for counts, number in zip(row.get("masks") or (), row.get("classes") or (), strict=False):
        mask = Image.fromarray(rle.decode(counts, row["height"], row["width"]))
        weights = mask.resize(image.size).point(lambda inside: round(255 * _MASK_SHARE) if inside else 0, mode="L")
        image.paste(Image.new("RGB", image.size, colour(number)), mask=weights)
    return image


def _with_map(image: Image.Image, row: Row, run_path: Path) -> Image.Image:
    if row.get("map") is None:
        return image
    values = maps.read(run_path, row["map"])
    colours = _depths(values) if values.dtype.kind == "f" else _classes(values)
    over = Image.fromarray(colours).resize(image.size, Image.Resampling.NEAREST)
    return Image.blend(image, over, _MAP_SHARE)


def _classes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    palette = np.array([tuple(bytes.fromhex(each[1:])) for each in PALETTE], dtype=np.uint8)
    return palette[values.astype(np.int64) % len(PALETTE)]


def _depths(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Near is bright; what is no finite number is as the farthest."""
    from matplotlib import colormaps

    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 1.0)
    shares = np.where(finite, (values - low) / max(high - low, 1e-9), 1.0)
    return np.asarray(colormaps["viridis"](1 - shares)[..., :3] * 255, dtype=np.uint8)


def _best(probs: Sequence[float] | None) -> list[int]:
    return [] if probs is None else [int(number) for number in np.argsort(-np.array(probs), kind="stable")[:_BEST]]


def _name(names: Mapping[int, str], number: int) -> str:
    return printable(cut(names.get(number, str(number)), _MAX_LABEL))


def _write(pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, background: str, size: Size) -> None:
    """Words on their colour, moved into the picture where they would leave it."""
    width, height = pen.textlength(text, font=font()) + 4, _FONT_PIXELS + 3
    x = max(0.0, min(place[0], size[0] - width))
    y = max(0.0, min(place[1], size[1] - height))
    pen.rectangle((x, y, x + width, y + height), fill=background)
    dark = sum(weight * value for weight, value in zip((2, 5, 1), bytes.fromhex(background[1:]), strict=True)) < 900
    pen.text((x + 2, y), text, fill="white" if dark else "black", font=font())
