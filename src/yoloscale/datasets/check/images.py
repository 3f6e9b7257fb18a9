"""The image files of a split, and what is beside each of them: found and opened as Ultralytics does."""

from __future__ import annotations

import contextlib
import errno
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from yoloscale.datasets import image_lists
from yoloscale.datasets.file_kinds import HEAD_BYTES, IMAGE_SUFFIXES, is_image, other_file, read_head

_SMALLEST_PX = 10
_TAIL_BYTES = 12  # the last chunk of a PNG
_JPEG_START, _JPEG_END, _PNG_START = b"\xff\xd8", b"\xff\xd9", b"\x89PNG"
_AVIF = (b"ftypavif", b"ftypavis")
_OTHER_STARTS = (b"BM", b"RIFF", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")  # BMP, WebP, TIFF and DNG, JPEG 2000
_LASTING = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
)
_ROTATED_BY_EXIF = {5, 6, 7, 8}


def list_images(paths: Iterable[Path]) -> list[str]:
    """Image files below folders, or listed in text files (`./` is the folder of the text file), sorted."""
    files = list[str]()
    for path in paths:
        files += _below(path) if path.is_dir() else (line.image for line in image_lists.lines_of(path))
    return sorted(filter(is_image, files))


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
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "depth"  # the last one
    path = Path(*parts)
    return next((str(p) for p in (path.with_suffix(".png"), path.with_suffix(".npy")) if p.is_file()), None)


def surroundings() -> tuple[object, ...]:
    """What else than the files decides whether they can be read: who reads them, and with which packages."""
    import PIL  # asked itself, as Pillow-SIMD is a distribution of another name

    return os.geteuid(), PIL.__version__, find_spec("pi_heif") is not None


def is_passing(error: BaseException) -> bool:
    """Whether a file system has failed for now: it says nothing about the file, which may be read the next time."""
    return isinstance(error, OSError) and error.errno is not None and error.errno not in _LASTING


@dataclass(frozen=True)
class Opened:
    """An image as a check found it. `skipped` says why training leaves it out (empty if it does not)."""

    skipped: str = ""
    shape: tuple[int, int] = (0, 0)  # height and width after EXIF rotation, where it was opened
    rewritten: bool = False  # a JPEG with bytes behind its end: the first scan of Ultralytics writes it anew, in place


def glance(path: str) -> Opened:
    """Judge an image by its first and last bytes; open it only if these are unusual. Raises OSError.

    Without a buffer, which network file systems fill with megabytes.
    """
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # a Path for each of millions of files costs more than the read
        head = file.read(HEAD_BYTES)
        file.seek(-min(_TAIL_BYTES, len(head)), os.SEEK_END)
        tail = file.read()
    if other := other_file(path, head):
        return Opened(other.what)
    whole = (
        tail.endswith(_JPEG_END)
        if head.startswith(_JPEG_START)
        else b"IEND" in tail
        if head.startswith(_PNG_START)
        else head.startswith(_OTHER_STARTS) or head[4:12] in _AVIF
    )
    return Opened() if whole else open_image(path)


def open_image(path: str) -> Opened:
    """Open an image as Ultralytics' `check_image` does, but never rewrite it. Raises OSError if the disk fails."""
    from PIL import UnidentifiedImageError

    try:
        if other := other_file(path, read_head(path)):
            return Opened(other.what)
        with _pillow(path) as image:
            image.verify()
            width, height = image.size
            with contextlib.suppress(Exception):  # as Ultralytics: a verified PNG does not tell, for one
                if image.format in {"JPEG", "MPO", "PNG", "AVIF"} and image.getexif().get(274) in _ROTATED_BY_EXIF:
                    width, height = height, width
            kind = (image.format or "").lower()
    except UnidentifiedImageError:
        is_heif = _is_heif(path)
        return Opened("needs the package pi-heif (pip install pi-heif)" if is_heif else "is no image that can be read")
    except Exception as error:  # Pillow's plugins raise what they like at broken files
        if is_passing(error):
            raise
        return Opened(f"cannot be read: {error}")
    shape = (height, width)
    if min(shape) < _SMALLEST_PX:
        return Opened(f"is {width} x {height} pixels: smaller than {_SMALLEST_PX}", shape)
    if kind not in IMAGE_SUFFIXES | {"jpeg2000"}:
        return Opened(f"has the format {kind or 'unknown'}", shape)
    return _jpeg_end(path, shape) if kind == "jpeg" else Opened("", shape)


def _jpeg_end(path: str, shape: tuple[int, int]) -> Opened:
    """Ultralytics decodes and writes anew a JPEG that does not end as JPEGs do; where it cannot, the image is lost."""
    from PIL import Image

    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # as in glance
        file.seek(-2, os.SEEK_END)
        if file.read() == _JPEG_END:
            return Opened("", shape)
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # as in open_image
        if is_passing(error):
            raise
        return Opened(f"is cut short: {error}", shape)
    folder = os.path.dirname(path)  # noqa: PTH120  # as in glance
    if not os.access(folder, os.W_OK):
        why = f"Ultralytics writes such a JPEG anew, and {folder} is read-only"
        return Opened(f"has bytes behind its end: {why}", shape)
    return Opened("", shape, rewritten=True)


def _pillow(path: str) -> Any:
    """The image as Pillow opens it; HEIC and HEIF by the package that Ultralytics takes for them, if it is there."""
    from PIL import Image

    if _is_heif(path) and find_spec("pi_heif"):
        import_module("pi_heif").register_heif_opener()
    return Image.open(path)


def _is_heif(path: str) -> bool:
    start = read_head(path)[4:12]
    return start.startswith(b"ftyp") and start not in _AVIF


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
        if is_passing(error):
            raise
        return f"mask cannot be read: {error}"
    wrong = sorted(used - valid)
    return f"mask has values that are no class: {', '.join(map(str, wrong[:5]))}" if wrong else ""


def open_depth(path: str, shape: tuple[int, int]) -> str:
    """Why training skips an image because of its depth map; empty if it does not."""
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
        if is_passing(error):
            raise
        return f"depth map cannot be read: {error}"
    if abs(math.log((width / height) / (shape[1] / shape[0]))) > 0.02:
        return f"depth map of {width} x {height} pixels has another shape than the image ({shape[1]} x {shape[0]})"
    return ""


def _below(folder: Path) -> list[str]:
    """Files below a folder, through links, but nothing hidden: as `glob` does."""
    paths = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [f"{parent}{os.sep}{name}" for name in names if not name.startswith(".")]
    return paths
