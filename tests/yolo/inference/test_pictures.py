"""Awkward files: the pixels that Ultralytics reads from each alone, or the reason why there are none."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def _picture(height: int = 40, width: int = 60, mode: str = "RGB") -> Any:
    from PIL import Image

    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack((rows * 4 % 256, columns * 3 % 256, (rows + columns) % 256), axis=2).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def _bytes(picture: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _rotated(orientation: int, kind: str = "JPEG") -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    return _bytes(_picture(), kind, exif=exif)


def _sixteen_bits(kind: str) -> bytes:
    from PIL import Image

    values = (np.arange(40 * 60).reshape(40, 60) * 27 % 65536).astype(np.uint16)
    return _bytes(Image.fromarray(values), kind)


def _sixteen_bit_colour() -> bytes:
    import cv2

    values = (np.arange(40 * 60 * 3).reshape(40, 60, 3) * 9 % 65536).astype(np.uint16)
    return cv2.imencode(".png", values)[1].tobytes()


def _pages(mode: str) -> bytes:
    others = [_picture(mode=mode).rotate(180), _picture(20, 30, mode)]
    return _bytes(_picture(mode=mode), "TIFF", save_all=True, append_images=others)


READABLE: dict[str, Callable[[], bytes]] = {
    "plain.jpg": lambda: _bytes(_picture(), "JPEG"),
    "grey.jpg": lambda: _bytes(_picture(mode="L"), "JPEG"),
    "cmyk.jpg": lambda: _bytes(_picture(mode="CMYK"), "JPEG"),
    "progressive.jpg": lambda: _bytes(_picture(), "JPEG", progressive=True),
    **{f"rotated-{number}.jpg": lambda number=number: _rotated(number) for number in range(1, 9)},  # type: ignore[misc]
    "rotated.png": lambda: _rotated(6, "PNG"),
    "rotated.webp": lambda: _rotated(8, "WEBP"),
    "rotated.tif": lambda: _rotated(6, "TIFF"),
    "trailing.jpg": lambda: _bytes(_picture(), "JPEG") + b"more bytes behind the end",
    "palette.png": lambda: _bytes(_picture(mode="P"), "PNG"),
    "bilevel.png": lambda: _bytes(_picture(mode="1"), "PNG"),
    "rgba.png": lambda: _bytes(_picture(mode="RGBA"), "PNG"),
    "grey-alpha.png": lambda: _bytes(_picture(mode="LA"), "PNG"),
    "sixteen.png": lambda: _sixteen_bits("PNG"),
    "sixteen.tiff": lambda: _sixteen_bits("TIFF"),
    "sixteen-colour.png": _sixteen_bit_colour,
    "rgba.tif": lambda: _bytes(_picture(mode="RGBA"), "TIFF"),
    "pages.tif": lambda: _pages("RGB"),
    "grey-pages.TIFF": lambda: _pages("L"),
    "plain.webp": lambda: _bytes(_picture(), "WEBP"),
    "animated.webp": lambda: _bytes(_picture(), "WEBP", save_all=True, append_images=[_picture().rotate(180)]),
    "plain.bmp": lambda: _bytes(_picture(), "BMP"),
    "plain.jp2": lambda: _bytes(_picture(), "JPEG2000"),
    "plain.avif": lambda: _bytes(_picture(), "AVIF"),
    "jpeg-inside.png": lambda: _bytes(_picture(), "JPEG"),
    "png-inside.tif": lambda: _bytes(_picture(), "PNG"),
    "jpeg-inside.heic": lambda: _bytes(_picture(), "JPEG"),
    "no-suffix": lambda: _bytes(_picture(), "PNG"),
    "thin.png": lambda: _bytes(_picture(4000, 1), "PNG"),
    "wide.jpg": lambda: _bytes(_picture(30, 12000), "JPEG"),
    "animated.gif": lambda: _bytes(_picture(), "GIF", save_all=True, append_images=[_picture().rotate(180)]),
}


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", READABLE)
def test_the_pixels_of_ultralytics(name: str, channels: int, tmp_path: Path) -> None:
    import cv2
    from ultralytics.utils.patches import imread

    from yoloscale.yolo.inference.pictures import decode

    data = READABLE[name]()
    path = tmp_path / name
    path.write_bytes(data)
    theirs = imread(path, cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE)
    ours = decode(data, name, channels)
    assert theirs is not None
    assert np.array_equal(ours, theirs)
    assert ours.dtype == np.uint8
    assert ours.shape[2] == channels
    assert ours.flags.c_contiguous


def test_first_frame_and_first_page() -> None:
    from yoloscale.yolo.inference.pictures import decode

    first = np.asarray(_picture())[..., ::-1]
    assert np.array_equal(decode(_pages("RGB"), "a.tif"), first)
    assert np.abs(decode(READABLE["animated.gif"](), "a.gif").astype(int) - first).mean() < 12


def _damaged_png() -> bytes:
    data = bytearray(_bytes(_picture(), "PNG"))
    data[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)  # width and height; the checksum no longer fits
    return bytes(data)


UNREADABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.jpg": (lambda: b"", "the file is empty"),
    "text.jpg": (lambda: b"this is no picture\n" * 50, "not a picture in a format"),
    "half.jpg": (lambda: _bytes(_picture(400, 600), "JPEG")[:3000], "a JPEG that OpenCV cannot decode"),
    "stub.jpg": (lambda: b"\xff\xd8\xff\xe0", "a JPEG that OpenCV cannot decode"),
    "stub.tif": (lambda: b"II*\0", "a TIFF that OpenCV cannot decode"),
    "stub.heic": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC is read with the package pi-heif"),
    "stub.avif": (lambda: b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "not a picture"),
    "one-byte.png": (lambda: b"\x89", "not a picture"),
    "zeros.png": (lambda: bytes(10_000), "not a picture"),
    "huge.png": (_damaged_png, "a PNG that OpenCV"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_reason_and_no_crash(name: str, tmp_path: Path) -> None:
    import cv2
    from ultralytics.utils.patches import imread

    from yoloscale.yolo.inference.pictures import Unreadable, decode

    make, reason = UNREADABLE[name]
    data = make()
    with pytest.raises(Unreadable, match=reason) as caught:
        decode(data, name)
    assert caught.value.reason == str(caught.value)
    (tmp_path / name).write_bytes(data)
    try:
        theirs = imread(tmp_path / name)
    except cv2.error:
        theirs = None
    assert theirs is None


def test_every_cut_of_a_file_is_a_picture_or_a_reason() -> None:
    from yoloscale.yolo.inference.pictures import Unreadable, decode

    for kind, suffix in (("JPEG", ".jpg"), ("PNG", ".png"), ("TIFF", ".tif"), ("GIF", ".gif"), ("WEBP", ".webp")):
        data = _bytes(_picture(), kind)
        for length in range(0, len(data), max(1, len(data) // 40)):
            with suppress(Unreadable):
                assert decode(data[:length], f"a{suffix}").shape[2] == 3


def test_frames_of_videos_stay_as_they_are() -> None:
    import cv2

    from yoloscale.yolo.inference.pictures import Unreadable, decode

    frame = np.ascontiguousarray(np.asarray(_picture())[..., ::-1])
    assert decode(frame, "video.mp4") is frame
    assert np.array_equal(decode(frame, "video.mp4", 1)[..., 0], cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
    with pytest.raises(Unreadable, match="3 channels, the model takes 4"):
        decode(frame, "video.mp4", 4)


def test_bands_for_a_model_of_many_channels(tmp_path: Path) -> None:
    import cv2
    from ultralytics.utils.patches import imread

    from yoloscale.yolo.inference.pictures import Unreadable, decode

    data = _bytes(_picture(mode="RGBA"), "TIFF")
    (tmp_path / "a.tif").write_bytes(data)
    assert np.array_equal(decode(data, "a.tif", 4), imread(tmp_path / "a.tif", cv2.IMREAD_UNCHANGED))
    with pytest.raises(Unreadable, match="4 channels, the model takes 5"):
        decode(data, "a.tif", 5)


def test_a_lack_of_memory_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    from yoloscale.yolo.inference import pictures

    def fails(*_: Any) -> None:
        error = cv2.error("Failed to allocate 12345678 bytes")
        error.code, error.err = cv2.Error.StsNoMem, "Failed to allocate 12345678 bytes"
        raise error

    monkeypatch.setattr(cv2, "imdecode", fails)
    with pytest.raises(MemoryError, match="Failed to allocate"):
        pictures.decode(b"\xff\xd8\xff", "a.jpg")


def test_more_pixels_than_opencv_takes_are_refused_with_its_words() -> None:
    import cv2

    from yoloscale.yolo.inference.pictures import Unreadable, decode

    header = cv2.imencode(".bmp", np.zeros((2, 2, 3), np.uint8))[1].tobytes()
    huge = header[:18] + struct.pack("<ii", 2**20 - 1, 2**20 - 1) + header[26:]
    with pytest.raises(Unreadable, match="a BMP that OpenCV"):
        decode(huge, "a.bmp")
