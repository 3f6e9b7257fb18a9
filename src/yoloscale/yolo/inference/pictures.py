"""Pictures out of bytes, with the pixels that Ultralytics reads from such a file alone (utils/patches.py: imread)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import PurePath
from threading import Lock
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Picture = npt.NDArray[np.uint8]  # height × width × channels, BGR where there are three

FLAGS = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}  # by channels of the model; all bands for any other number
BY_PILLOW = (".avif", ".heic", ".heif")  # suffixes of files that Ultralytics lets Pillow try first
PAGES = (".tif", ".tiff")
SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"RIFF": "WebP",
    b"\0\0\0\x0cjP": "JPEG 2000",
}
_plugins = Lock()


class Unreadable(Exception):  # noqa: N818  # a state of a row, too, by this name
    """These bytes are no picture; the message says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(data: bytes | npt.NDArray[Any], name: str, channels: int = 3) -> Picture:
    """The picture in a file's bytes, or a frame that has been decoded already.

    EXIF rotation applied, the high byte of 16 bits, no alpha, first frame or page. Safe in threads.

    Args:
        data: a file's bytes; or height × width × 3, BGR, 8 bits.
        name: of the file; its suffix decides as it does in Ultralytics, where the bytes do not.
        channels: that the model takes.

    Raises Unreadable; MemoryError where OpenCV lacks memory.
    """
    if isinstance(data, np.ndarray):
        return _frame(data, channels)
    if not len(data):
        raise Unreadable("the file is empty")
    content = np.frombuffer(data, np.uint8)
    flags = FLAGS.get(channels, cv2.IMREAD_UNCHANGED)
    suffix = PurePath(name).suffix.lower()
    image: Any = None
    try:
        if suffix in PAGES and channels != 1:
            image = _first_page(content, stacks=flags == cv2.IMREAD_UNCHANGED)
        if image is None and suffix in BY_PILLOW:
            image = _by_pillow(data, channels)
        if image is None:
            image = cv2.imdecode(content, flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(f"{name}: {error.err}") from error
        raise Unreadable(f"{_kind(data)} that OpenCV refuses: {error.err}") from error
    if image is None:
        raise Unreadable(_reason(data, suffix))
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise Unreadable(f"its pixels are {image.dtype}, which no model takes")
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[2] != channels:
        raise Unreadable(f"it has {image.shape[2]} channels, the model takes {channels}")
    picture: Picture = np.ascontiguousarray(image)
    return picture


def _frame(frame: npt.NDArray[Any], channels: int) -> Picture:
    if channels == 1:
        grey: Any = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        picture: Picture = grey[..., None]
        return picture
    if frame.shape[2] != channels:
        raise Unreadable(f"a frame of {frame.shape[2]} channels, the model takes {channels}")
    return frame


def _first_page(content: npt.NDArray[np.uint8], stacks: bool) -> Any:
    """A TIFF's first page with its bands; `stacks`: grey pages of one size are bands, too. None: not for this way."""
    success, pages = cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED)
    if not success:
        return None
    if pages[0].ndim == 3:
        return pages[0] if stacks else pages[0][..., :3]
    if stacks and len(pages) > 1 and all(page.shape == pages[0].shape for page in pages):
        return np.stack(pages, axis=2)
    return None


def _by_pillow(data: bytes, channels: int) -> Any:
    _register_heif()
    try:
        with ImageOps.exif_transpose(Image.open(BytesIO(data))) as image:
            if channels == 1:
                return np.asarray(image.convert("L"))
            return cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)
    except Exception:  # as in Ultralytics: OpenCV is asked next, and answers for good
        return None


def _register_heif() -> None:
    with _plugins:
        if find_spec("pi_heif") is not None:  # Pillow reads AVIF by itself; of HEIC, the reason says what is missing
            import_module("pi_heif").register_heif_opener()


def _kind(data: bytes) -> str:
    kind = next((kind for signature, kind in SIGNATURES.items() if data.startswith(signature)), None)
    return "a file" if kind is None else f"a {kind}"


def _reason(data: bytes, suffix: str) -> str:
    if data[4:8] == b"ftyp" and suffix in BY_PILLOW and b"hei" in data[8:32]:
        return "HEIC is read with the package pi-heif, which cannot read it or is not installed"
    kind = _kind(data)
    if kind == "a file":
        return "not a picture in a format that OpenCV knows"
    return f"{kind} that OpenCV cannot decode: cut short or damaged"
