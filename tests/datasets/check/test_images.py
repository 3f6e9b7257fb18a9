"""Images judged by their ends: what Ultralytics drops or writes anew is told, without opening the others."""

from __future__ import annotations

import importlib.metadata
import io
import os
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
from PIL import Image
from ultralytics.data.utils import check_image

from yoloscale.datasets.check import images
from yoloscale.datasets.check.images import glance, open_image
from yoloscale.datasets.file_kinds import read_head


def encoded(suffix: str, size: int = 40) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    return cv2.imencode(suffix, noise)[1].tobytes()


def gif() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 20)).save(file, "GIF")
    return file.getvalue()


JPEG, PNG = encoded(".jpg"), encoded(".png")
CASES = {
    "whole.jpg": JPEG,
    "whole.png": PNG,
    "whole.bmp": encoded(".bmp"),
    "whole.webp": encoded(".webp"),
    "whole.tif": encoded(".tif"),
    "png called jpg.jpg": PNG,
    "png with a tail.png": PNG + b"more",
    "jpeg with a tail.jpg": JPEG + b"\0" * 8,
    "jpeg with a long tail.jpg": JPEG + bytes(100_000),
    "jpeg without its end.jpg": JPEG[:-2],
    "half a jpeg.jpg": JPEG[: len(JPEG) // 2],
    "half a png.png": PNG[: len(PNG) // 2],
    "small.jpg": encoded(".jpg", 8)[:-2] + b"xy",
    "text.jpg": b"no picture at all",
    "a gif.jpg": gif(),
}


@pytest.mark.parametrize("inspect_image", [glance, open_image])
@pytest.mark.parametrize("name", CASES)
def test_what_is_dropped_and_rewritten_is_what_ultralytics_drops_and_rewrites(
    name: str, inspect_image: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / name
    file.write_bytes(CASES[name])
    ours = inspect_image(str(file))  # type: ignore[operator]
    assert file.read_bytes() == CASES[name]
    try:
        check_image(str(file))
        dropped = False
    except Exception:
        dropped = True
    assert bool(ours.skipped) == dropped, ours
    assert ours.rewritten == (file.read_bytes() != CASES[name])


def test_a_jpeg_with_a_tail_on_read_only_storage_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(JPEG + b"tail")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may write everywhere
    assert f"{tmp_path} is read-only" in glance(str(file)).skipped


def test_sound_images_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "open_image", None)
    for name in (name for name in CASES if name.startswith("whole")):
        file = tmp_path / name
        file.write_bytes(CASES[name])
        assert glance(str(file)).skipped == ""


def test_a_glance_reads_only_the_two_ends_of_a_file(tmp_path: Path) -> None:
    def bytes_read() -> int:
        return int(Path("/proc/thread-self/io").read_text().split()[1])

    image = tmp_path / "a.png"
    image.write_bytes(encoded(".png", 200))
    before = bytes_read()
    asking = bytes_read() - before
    before = bytes_read()
    glance(str(image))
    read_head(image)
    assert 1024 <= bytes_read() - before - asking <= 1024 + 32


def test_pillow_may_be_of_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow-SIMD is the same package under another name."""

    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", absent)
    assert PIL.__version__ in images.surroundings()
