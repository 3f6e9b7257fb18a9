"""Images come ready, in order, and no more of them than there is room for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from yoloscale.distributed.heartbeat import HEARTBEAT
from yoloscale.manifest.content import Content, Unreadable
from yoloscale.manifest.table import Item
from yoloscale.worker.predict import pictures, read_ahead
from yoloscale.worker.predict.read_ahead import Lost, ReadAhead
from yoloscale.yolo.inference.prepare import Prepared

IMAGE_BYTES = 1000


class Source:
    """A reader and a predictor in one: an image's content is its index."""

    channels = 3

    def __init__(self) -> None:
        self.read_indices: list[int] = []
        self.threads: dict[int, str] = {}
        self.before: Callable[[int], None] = lambda index: None
        self.progress = 0
        self.is_abandoned = threading.Event()

    def read(self, item: Item) -> Content:
        self.before(item.index)
        self.read_indices.append(item.index)
        self.threads[item.index] = threading.current_thread().name
        if item.source == "broken":
            raise Unreadable("no image")
        if item.source == "machine":
            raise OSError("too many open files")
        return Content(str(item.index).encode())

    def abandon(self) -> None:
        self.is_abandoned.set()

    def has_read(self, least: int) -> bool:
        return len(self.read_indices) >= least

    def prepare(self, picture: int) -> Prepared:
        return Prepared(picture, 1, (), (np.zeros(IMAGE_BYTES, np.uint8),))


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setattr(pictures, "decode", lambda data, name, channels: int(data))
    return Source()


def ahead_of(source: Any, threads: int = 3, most_bytes: int = 10**9) -> ReadAhead:
    return ReadAhead(source, source, threads, most_bytes)


def items(count: int) -> list[Item]:
    return [Item(index, f"{index}.jpg") for index in range(count)]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60  # bounds a hang
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_images_come_in_the_order_of_their_items_whoever_is_ready_first(source: Source) -> None:
    slow = threading.Event()

    def wait(index: int) -> None:
        if index == 0:
            slow.wait(60)
        if index == 2:
            slow.set()

    source.before = wait
    with ahead_of(source) as ahead:
        heights = [image.height for _, image in ahead.images(items(200)) if isinstance(image, Prepared)]

    assert heights == list(range(200))
    assert source.read_indices[0] != 0


def test_what_is_no_image_is_in_its_place_with_the_reason(source: Source) -> None:
    with ahead_of(source) as ahead:
        loaded = list(ahead.images([Item(0, "a"), Item(1, "broken"), Item(2, "b")]))

    assert [item.index for item, _ in loaded] == [0, 1, 2]
    assert loaded[1][1] == Lost("no image")


def test_what_is_wrong_with_the_machine_is_no_row(source: Source) -> None:
    with ahead_of(source) as ahead, pytest.raises(OSError, match="too many open files"):
        list(ahead.images([*items(3), Item(3, "machine"), *items(50)]))


@pytest.mark.parametrize("most_images", [1, 5])
def test_no_more_is_ready_than_there_is_room_for(source: Source, most_images: int) -> None:
    threads = 3
    with ahead_of(source, threads, most_images * IMAGE_BYTES) as ahead:
        images = ahead.images(items(40))
        for taken in range(40):
            next(images)
            least = min(40, taken + most_images)
            until(partial(source.has_read, least))
            assert len(source.read_indices) <= taken + 1 + most_images + threads
        with pytest.raises(StopIteration):
            next(images)


def test_an_image_larger_than_the_room_comes_all_the_same(source: Source) -> None:
    with ahead_of(source, most_bytes=1) as ahead:
        assert len(list(ahead.images(items(20)))) == 20


def test_frames_of_a_video_are_read_in_order_by_one_thread(source: Source) -> None:
    frames = [Item(index, "clip.mp4", frame=index) for index in range(50)]
    with ahead_of(source) as ahead:
        assert len(list(ahead.images(frames))) == 50
    assert source.read_indices == list(range(50))
    assert set(source.threads.values()) == {"frames_0"}


def test_whoever_leaves_early_can_begin_anew(source: Source) -> None:
    with ahead_of(source, most_bytes=2 * IMAGE_BYTES) as ahead:
        images: Iterator[Any] = ahead.images(items(100))
        next(images)
        images.close()  # type: ignore[attr-defined]
        count = len(source.read_indices)
        assert count < 100
        assert [item.index for item, _ in ahead.images(items(5))] == [0, 1, 2, 3, 4]
        assert len(source.read_indices) == count + 5


def test_a_stop_is_seen_while_an_image_is_read_and_nobody_waits_for_it(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "LOOK_S", 0.01)
    monkeypatch.setattr(read_ahead, "CLOSE_S", 0.01)
    looks: list[int] = []

    def hang(index: int) -> None:
        source.is_abandoned.wait(60)

    source.before = hang

    def moved_on(images: int) -> None:
        looks.append(images)
        if len(looks) == 3:
            raise KeyError("asked to stop")

    with pytest.raises(KeyError), ahead_of(source) as ahead:
        list(ahead.images(items(20), moved_on))
    assert looks == [0, 0, 0]
    assert source.is_abandoned.is_set()  # by the end, as they did not come back by themselves


def test_a_read_that_takes_long_is_alive_as_long_as_it_moves_on(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "LOOK_S", 0.01)
    is_found, beats = threading.Event(), []
    source.before = lambda index: is_found.wait(60) and None

    def moved_on(images: int) -> None:
        beats.append(HEARTBEAT.last)
        source.progress += len(beats) < 3  # then it hangs
        if len(beats) == 5:
            is_found.set()

    with ahead_of(source) as ahead:
        assert len(list(ahead.images([Item(0, "clip.mp4", frame=9000)], moved_on))) == 1
    assert [one is other for one, other in pairwise(beats[:5])] == [False, False, True, True]


def test_the_next_items_are_read_while_the_present_ones_are_taken(source: Source) -> None:
    with ahead_of(source) as ahead:
        first, second = ahead.begin(items(3)), ahead.begin([Item(index, "next") for index in range(3, 6)])
        assert first.is_given
        until(partial(source.has_read, 6))
        ignore: Callable[[int], None] = lambda images: None  # noqa: E731
        loaded = [item.index for loading in (first, second) for item, _ in _through(loading, ignore)]
    assert loaded == list(range(6))


def _through(loading: Any, moved_on: Callable[[int], None]) -> Iterator[Any]:
    with closing(loading):
        yield from loading.images(moved_on)


def test_the_next_items_do_not_take_the_room_of_the_present_ones(source: Source) -> None:
    with ahead_of(source, most_bytes=2 * IMAGE_BYTES) as ahead:
        first, second = ahead.begin(items(30)), ahead.begin([Item(index, "next") for index in range(30, 60)])
        third = ahead.begin([Item(60, "last")])
        with closing(third), closing(second), closing(first):
            assert len(list(first.images(lambda images: None))) == 30
            first.close()
            second.close()  # unread: its images make room
            assert len(list(third.images(lambda images: None))) == 1


def test_room_is_kept_for_what_is_being_made(source: Source) -> None:
    at_once, most, gate = set[int](), [0], threading.Condition()

    def count(index: int) -> None:
        with gate:
            at_once.add(index)
            most[0] = max(most[0], len(at_once))
            gate.wait(0.02)
            at_once.remove(index)

    with ahead_of(source, threads=8, most_bytes=3 * IMAGE_BYTES) as ahead:
        assert len(list(ahead.images(items(1)))) == 1  # how large they are
        source.before = count
        assert len(list(ahead.images(items(40)))) == 40
    assert most[0] <= 3 + 1  # the one that is taken next may come on top
