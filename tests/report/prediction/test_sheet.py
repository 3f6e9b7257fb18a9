"""The sheet of pictures: which images are on it, how they are read, and what is drawn over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.report.prediction.conftest import NAMES, Predicted, objects

from yoloscale.config.tasks import Task
from yoloscale.predictions import maps, rle
from yoloscale.predictions.schema import Status
from yoloscale.report.prediction.overlay import PALETTE, colour, draw_found
from yoloscale.report.prediction.sheet import NAME, caption, chosen_rows, draw_sheet, thumbnail

ABOUT = {"index": 0, "source": "a.jpg", "frame": None, "width": 48, "height": 32}


def rgb(text: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(text[1:]))


def drawn(row: dict[str, Any], scale: int = 4, folder: Path = Path()) -> np.ndarray:
    image = Image.new("RGB", (48 * scale, 32 * scale), "#102030")
    return np.asarray(draw_found(image, ABOUT | row, NAMES, folder))


def test_a_box_is_where_it_was_found_in_the_colour_of_its_class() -> None:
    found = objects((1, 0.5))
    pixels = drawn({name: values.tolist() for name, values in found.items()})
    for x, y in ((8, 12), (28, 12), (20, 22), (20, 6)):  # a point on each side, in pixels of the source
        assert tuple(pixels[y * 4, x * 4]) == rgb(colour(1))
    assert tuple(pixels[12 * 4, 18 * 4]) == (0x10, 0x20, 0x30)


def test_an_oriented_box_leans() -> None:
    pixels = drawn({"obb": [[24, 16, 20, 8, np.pi / 4]], "classes": [3], "scores": [0.5]})
    tip = 24 + (10 - 4) / 2**0.5, 16 + (10 + 4) / 2**0.5  # where the long side ends, down to the right
    near = pixels[int(tip[1] * 4) - 6 : int(tip[1] * 4) + 3, int(tip[0] * 4) - 6 : int(tip[0] * 4) + 6]
    assert (near == rgb(colour(3))).all(axis=2).any()
    assert tuple(pixels[25 * 4, 12 * 4]) == (0x10, 0x20, 0x30)


def test_a_mask_lies_over_the_image() -> None:
    mask = np.zeros((32, 48), dtype=bool)
    mask[20:30, 30:46] = True
    row = {"boxes": [[1, 1, 4, 4]], "classes": [0], "scores": [0.5], "masks": [rle.encode(mask)]}
    pixels = drawn(row).astype(int)
    inside, outside = pixels[25 * 4, 38 * 4], pixels[25 * 4, 20 * 4]
    assert tuple(outside) == (0x10, 0x20, 0x30)
    assert np.abs(inside - (0.45 * np.array(rgb(colour(0))) + 0.55 * np.array((0x10, 0x20, 0x30)))).max() <= 2


def test_keypoints_and_classes_of_the_image() -> None:
    row = {"boxes": [[1, 1, 47, 31]], "classes": [0], "scores": [0.5], "keypoints": [[[24, 16, 0.9], [30, 20, 0.1]]]}
    assert tuple(drawn(row)[16 * 4, 24 * 4]) == rgb(PALETTE[3])
    pixels = drawn({"probs": [0.0, 0.2, 0.1, 0.7]})
    assert tuple(pixels[5, 5]) == rgb(colour(3))  # the best class on top


@pytest.mark.parametrize("task", [Task.semantic, Task.depth])
def test_maps(task: Task, tmp_path: Path) -> None:
    values = np.zeros((32, 48), dtype=np.uint8 if task is Task.semantic else np.float32)
    values[:, 24:] = 1
    name = maps.write(tmp_path, 0, 0, values)
    pixels = drawn({"map": name}, folder=tmp_path)
    assert np.abs(pixels[64, 40].astype(int) - pixels[64, 150].astype(int)).max() > 40
    assert (pixels[:, :90] == pixels[0, 0]).all()


def test_a_depth_map_without_a_number(tmp_path: Path) -> None:
    name = maps.write(tmp_path, 0, 0, np.full((32, 48), np.nan, dtype=np.float32))
    assert drawn({"map": name}, folder=tmp_path).shape == (128, 192, 3)


def test_images_are_spread_over_the_run_and_empty_ones_come_last(predicted: Predicted) -> None:
    statuses = [Status.ok if n % 2 else Status.empty for n in range(40)]
    images = [(f"{n}.jpg", status, objects((0, 0.5))) for n, status in enumerate(statuses)]
    run = predicted(Task.detect, images)
    assert [row["index"] for row in chosen_rows(run.path, 4)] == [1, 13, 25, 39]
    assert [row["index"] for row in chosen_rows(run.path, 100)] == list(range(1, 40, 2))


def test_empty_images_where_there_are_no_others(predicted: Predicted) -> None:
    run = predicted(Task.detect, [("a.jpg", Status.unreadable, {}), ("b.jpg", Status.empty, objects())])
    assert [row["index"] for row in chosen_rows(run.path, 4)] == [1]


def test_no_image_could_be_read(predicted: Predicted, tmp_path: Path) -> None:
    run = predicted(Task.detect, [("a.jpg", Status.unreadable, {})])
    assert draw_sheet(run, NAMES, tmp_path) is None


def test_the_sheet(predicted: Predicted, tmp_path: Path) -> None:
    Image.new("RGB", (480, 320), "#2040A0").save(tmp_path / "a.jpg")
    images = [("a.jpg", Status.ok, objects((0, 0.5))), ("gone.jpg", Status.ok, objects((0, 0.5)))]
    run = predicted(Task.detect, images)
    assert draw_sheet(run, NAMES, tmp_path) == run.path / NAME
    with Image.open(run.path / NAME) as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert np.abs(pixels[150, 280] - (0x20, 0x40, 0xA0)).max() < 12  # the image in the first cell, beside its box
    assert (pixels[220, 350:640] > 240).all()  # the second cell is empty below its words
    assert pixels[20:40, 350:640].min() < 120


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "I;16", "1", "LA"])
def test_all_kinds_of_pixels_become_colours(mode: str, tmp_path: Path) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((60, 90), 200 << 8, dtype=np.uint16))
    else:
        image = Image.new("RGB", (90, 60), (200, 200, 200)).convert(mode)
    file = tmp_path / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
    image.save(file)
    small = thumbnail(file.read_bytes(), 45, 45)
    assert (small.mode, small.size) == ("RGB", (45, 30))
    assert np.abs(np.asarray(small).astype(int) - 200).max() < 60


def test_rotated_by_exif_and_frames() -> None:
    from io import BytesIO

    pixels = np.zeros((60, 90, 3), dtype=np.uint8)
    pixels[:, :45] = (0, 0, 255)
    file, exif = BytesIO(), Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(file, "JPEG", exif=exif)
    upright = np.asarray(thumbnail(file.getvalue(), 90, 90))
    assert upright.shape == (90, 60, 3)
    assert upright[10, 30, 2] > 200 > upright[80, 30, 2]
    assert np.asarray(thumbnail(pixels, 90, 90))[30, 10].tolist() == [255, 0, 0]  # frames are BGR


def test_captions_are_short_and_keep_what_differs() -> None:
    assert caption({"index": 3, "source": "a.jpg", "frame": None}) == "3 a.jpg"
    long = caption({"index": 123456, "source": "/data/" + "x" * 80 + "/clip.mp4", "frame": 77})
    assert len(long) <= 44
    assert long.startswith("123456 …")
    assert long.endswith("/clip.mp4 #77")
