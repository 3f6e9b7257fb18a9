"""The image files of a split, and what is beside each of them: found and opened as Ultralytics does."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {"avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp"}
)
_SMALLEST_PX = 10
_ROTATED_BY_EXIF = {5, 6, 7, 8}


def list_images(paths: Iterable[Path]) -> list[str]:
    """Image files below folders, or listed in text files (`./` is the folder of the text file), sorted."""
    found: list[str] = []
    for path in paths:
        if path.is_dir():
            found += _below(path)
        else:
            found += _listed_in(path)
    return sorted(name for name in found if _is_image(name))


def companion(image: str, folder: str, suffix: str) -> str:
    """The file of an image in a parallel folder: the last /images/ of the path replaced, and the suffix."""
    base = f"{os.sep}{folder}{os.sep}".join(image.rsplit(f"{os.sep}images{os.sep}", 1))
    return base.rpartition(".")[0] + suffix


def find_mask(image: str, folder: str) -> str | None:
    """The semantic mask of an image, with whatever image suffix."""
    first = companion(image, folder, ".png")
    others = (companion(image, folder, f".{suffix}") for suffix in sorted(IMAGE_SUFFIXES))
    return next((path for path in (first, *others) if Path(path).is_file()), None)


def find_depth(image: str) -> str | None:
    """The depth map of an image: PNG, else NPY."""
    parts = list(Path(image).parts)
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] == "images":
            parts[index] = "depth"
            break
    path = Path(*parts)
    return next((str(p) for p in (path.with_suffix(".png"), path.with_suffix(".npy")) if p.is_file()), None)


def open_image(path: str) -> tuple[str, tuple[int, int]]:
    """Open an image as Ultralytics' `check_image` does, but never rewrite it.

    Returns why it is skipped in training (empty if it is not), and its height and width after EXIF rotation.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.verify()
            width, height = image.size
            if image.format in {"JPEG", "MPO", "PNG", "AVIF"} and image.getexif().get(274) in _ROTATED_BY_EXIF:
                width, height = height, width
            kind = (image.format or "").lower()
    except Exception as error:  # Pillow's plugins raise what they like at broken files
        return f"cannot be read: {error}", (0, 0)
    if min(width, height) < _SMALLEST_PX:
        return f"is {width} x {height} pixels: smaller than {_SMALLEST_PX}", (height, width)
    return ("" if kind in IMAGE_SUFFIXES | {"jpeg2000"} else f"has the format {kind or 'unknown'}"), (height, width)


def open_mask(path: str, shape: tuple[int, int], valid: frozenset[int]) -> str:
    """Why training skips an image because of its mask; empty if it does not. `valid`: values that may occur."""
    from PIL import Image

    try:
        with Image.open(path) as mask:
            if (mask.height, mask.width) != shape:
                return f"mask is {mask.width} x {mask.height}, the image {shape[1]} x {shape[0]} pixels"
            if mask.mode == "P":
                levels = mask.getpalette() or []
                gray = all(levels[i] == levels[i + 1] == levels[i + 2] for i in range(0, len(levels) - 2, 3))
                mask = mask.convert("L") if gray else mask
            if mask.mode not in {"L", "P"}:
                mask.load()
                return ""
            used = {value for value, count in enumerate(mask.histogram()) if count}
    except Exception as error:  # as in open_image
        return f"mask cannot be read: {error}"
    wrong = sorted(used - valid)
    return f"mask has values that are no class: {', '.join(map(str, wrong[:5]))}" if wrong else ""


def open_depth(path: str, shape: tuple[int, int]) -> str:
    """Why training skips an image because of its depth map; empty if it does not."""
    import math

    import numpy as np
    from PIL import Image

    try:
        if path.endswith(".npy"):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if array.ndim != 2 or array.dtype.kind != "f":
                return "depth map is no array of two dimensions of floating-point numbers"
            height, width = array.shape
        else:
            with Image.open(path) as depth:
                if depth.format != "PNG" or depth.mode not in {"I", "I;16"}:
                    return f"depth map is {depth.format} {depth.mode}, not a PNG of 16-bit integers"
                height, width = depth.height, depth.width
                depth.verify()
    except Exception as error:  # as in open_image
        return f"depth map cannot be read: {error}"
    if abs(math.log((width / height) / (shape[1] / shape[0]))) > 0.02:
        return f"depth map of {width} x {height} pixels has another shape than the image ({shape[1]} x {shape[0]})"
    return ""


def _below(folder: Path) -> list[str]:
    """Files below a folder, through links, but nothing hidden: as `glob` does."""
    found = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [f"{parent}{os.sep}{name}" for name in files if not name.startswith(".")]
    return found


def _listed_in(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8-sig").strip().splitlines()
    return [str(file.parent) + line[1:] if line.startswith("./") else line for line in lines]


def _is_image(name: str) -> bool:
    return name.rpartition(".")[2].lower() in IMAGE_SUFFIXES
