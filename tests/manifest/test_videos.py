"""Frames against those that Ultralytics takes, from any start, in archives, and turned."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.manifest.manifests import manifest_of, sources_of, write_video

from yoloscale.datasets.file_kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from yoloscale.manifest.content import Content, Reader, contents
from yoloscale.manifest.pace import Abandoned
from yoloscale.manifest.table import Item
from yoloscale.manifest.videos import Video, frames

FRAMES = 23
SUFFIXES = {"avi": "MJPG", "mp4": "mp4v", "mkv": "mp4v"}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "working"
    folder.mkdir()
    return folder


def write_gif(path: Path) -> None:
    pictures = [Image.fromarray(np.full((48, 64, 3), 20 * number, np.uint8)) for number in range(FRAMES // 2)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)


def ultralytics_frames(path: Path, stride: int) -> list[Any]:
    from ultralytics.data.loaders import LoadImagesAndVideos

    loader = LoadImagesAndVideos(str(path), vid_stride=stride)
    try:
        return [images[0] for _, images, _ in loader]
    finally:
        loader.close()


def images_of(items: list[Item], base: Path) -> Iterator[Any]:
    for item, content in contents(items, base):
        assert isinstance(content, Content), (item, content)
        yield content.data


def same(ones: list[Any], others: list[Any]) -> bool:
    return len(ones) == len(others) and all(np.array_equal(one, other) for one, other in zip(ones, others, strict=True))


def test_suffixes_are_those_of_ultralytics() -> None:
    from ultralytics.data.utils import IMG_FORMATS, VID_FORMATS

    assert IMAGE_SUFFIXES == IMG_FORMATS
    assert VIDEO_SUFFIXES == VID_FORMATS


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("suffix", [*SUFFIXES, "gif"])
def test_frames_are_those_that_ultralytics_takes(base: Path, suffix: str, stride: int) -> None:
    path = base / f"a b:%03d.{suffix}"
    write_gif(path) if suffix == "gif" else write_video(path, FRAMES, SUFFIXES[suffix])
    items = manifest_of(base, path.name, vid_stride=stride)
    assert {item.source for item in items} == {path.name}
    assert [item.frame for item in items] == [stride * (number + 1) - 1 for number in range(len(items))]
    rate = 10 if suffix == "gif" else 25
    assert [item.time_s for item in items] == pytest.approx([(item.frame or 0) / rate for item in items], abs=1e-3)
    images = list(images_of(items, base))
    assert same(images, ultralytics_frames(path, stride))
    assert {(image.shape, image.dtype) for image in images} == {((48, 64, 3), np.dtype(np.uint8))}


def test_a_frame_is_the_same_whatever_unit_it_is_in(base: Path) -> None:
    write_video(base / "v.mp4", FRAMES, "mp4v")
    items = manifest_of(base, "v.mp4")
    whole = list(images_of(items, base))
    assert len({image.tobytes() for image in whole}) == FRAMES
    for first in (5, 11, 22):
        assert same(list(images_of(items[first : first + 4], base)), whole[first : first + 4])
    with Reader(base) as reader:  # forward, again, back, and to another video between
        write_video(base / "w.avi", 3)
        order = [2, 7, 7, 8, 20, 3, 4]
        assert same([reader.read(items[number]).data for number in order], [whole[number] for number in order])
        reader.read(Item(0, "w.avi", 1))
        assert np.array_equal(reader.read(items[9]).data, whole[9])


def test_units_one_after_the_other_decode_a_video_once(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(base / "v.avi", FRAMES)
    items = manifest_of(base, "v.avi")
    opened = list[str]()
    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda name, *more: opened.append(name) or real(name, *more))
    with Reader(base) as reader:
        units = [list(reader.contents(items[first : first + 4])) for first in range(0, FRAMES, 8)]
    assert [item.frame for unit in units for item, _ in unit] == [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19]
    assert len(opened) == 1


def test_whoever_waits_for_a_late_frame_sees_the_decoder_move_and_may_let_go(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(base / "v.avi", FRAMES)
    items = manifest_of(base, "v.avi")
    with Reader(base) as reader, ThreadPoolExecutor(1) as executor:
        move, seen, is_at_five, may_go_on = reader._pace.move, list[int](), Event(), Event()

        def watched() -> None:
            move()
            seen.append(reader.progress)
            if len(seen) == 5:
                is_at_five.set()
                assert may_go_on.wait(60)

        monkeypatch.setattr(reader._pace, "move", watched)
        reading = executor.submit(reader.read, items[-1])
        assert is_at_five.wait(60)
        assert reader.progress == 5
        assert not reading.done()
        reader.abandon()
        may_go_on.set()
        with pytest.raises(Abandoned):
            reading.result(60)
        assert seen == [1, 2, 3, 4, 5]


def test_frames_are_counted_by_decoding(base: Path) -> None:
    write_video(base / "v.avi", FRAMES)
    content = (base / "v.avi").read_bytes()
    (base / "cut.avi").write_bytes(content[: len(content) // 2])  # its header still says all
    capture = cv2.VideoCapture(str(base / "cut.avi"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    capture.release()
    items = manifest_of(base, "cut.avi")
    assert 0 < len(items) < FRAMES
    whole = list(images_of(manifest_of(base, "v.avi"), base))
    assert same(list(images_of(items, base))[:-1], whole[: len(items) - 1])


def test_a_video_that_cannot_be_decoded_is_a_row_with_the_reason(base: Path) -> None:
    (base / "bad.mp4").write_bytes(b"no video" * 100)
    (base / "empty.avi").write_bytes(b"")
    write_video(base / "short.avi", 3)
    items = manifest_of(base, ".", vid_stride=5)
    assert sources_of(items) == ["./bad.mp4", "./empty.avi", "./short.avi"]
    expected = "is a video without a frame to take: none can be decoded, or vid_stride is longer than it"
    assert {getattr(content, "reason", None) for _, content in contents(items, base)} == {expected}


def test_a_video_that_has_gone_or_changed_is_unreadable(base: Path) -> None:
    write_video(base / "v.avi", FRAMES)
    write_video(base / "w.avi", FRAMES)
    items = manifest_of(base, "v.avi", "w.avi")
    (base / "v.avi").unlink()
    write_video(base / "w.avi", 2)
    reasons = [getattr(content, "reason", None) for _, content in contents(items, base)]
    assert reasons[:FRAMES] == ["there is no such file"] * FRAMES
    assert reasons[FRAMES:] == [None, None, *(f"frame {number} cannot be decoded" for number in range(2, FRAMES))]


@pytest.mark.parametrize("name", ["v: 'x'.tar", "latin-\udce9.tar"])
def test_videos_in_an_archive_are_read_where_they_are(base: Path, name: str) -> None:
    write_video(base / "v.avi", FRAMES)
    write_gif(base / "g.gif")
    with tarfile.open(base / name, "w") as archive:
        for member in ("v.avi", "g.gif"):
            archive.add(base / member, member)
        archive.addfile(tarfile.TarInfo("none.mp4"), io.BytesIO())
    members = manifest_of(base, name)
    files = manifest_of(base, "v.avi", "g.gif")
    assert [item.frame for item in members] == [*(item.frame for item in files), None]
    assert [item.source.rpartition("!")[2] for item in members[:-1]] == sources_of(files)
    assert same(list(images_of(members[:-1], base)), list(images_of(files, base)))


def test_a_name_that_is_no_utf_8(base: Path) -> None:
    write_video(base / "v.avi", 3)
    (base / "v.avi").rename(base / "v\udce9.avi")
    items = manifest_of(base, ".")
    assert [(item.source, item.frame) for item in items] == [(r"./v\xe9.avi", number) for number in range(3)]
    assert len(list(images_of(items, base))) == 3


def test_a_turned_video_is_upright(base: Path) -> None:
    write_video(base / "v.mp4", 5, "mp4v")
    content = bytearray((base / "v.mp4").read_bytes())
    matrix = content.index(b"tkhd") + 44
    quarter = [0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30]
    content[matrix : matrix + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in quarter)
    (base / "turned.mp4").write_bytes(content)
    items = manifest_of(base, "turned.mp4")
    images = list(images_of(items, base))
    assert {image.shape for image in images} == {(64, 48, 3)}
    assert same(images, ultralytics_frames(base / "turned.mp4", 1))


def test_counting_a_video_keeps_none_of_it_open(base: Path) -> None:
    write_video(base / "v.avi", FRAMES)
    stream = frames(Video(str(base / "v.avi")), 1)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    names = {str(path.resolve()) for path in Path("/proc/self/fd").iterdir() if path.exists()}
    assert str(base / "v.avi") not in names
