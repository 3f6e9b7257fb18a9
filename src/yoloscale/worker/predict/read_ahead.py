"""Images made ready in threads while the model is at others: in the order of their items, in a bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass

from yoloscale.distributed.heartbeat import HEARTBEAT, LOADING
from yoloscale.manifest.content import Reader
from yoloscale.manifest.content import Unreadable as NotThere
from yoloscale.manifest.table import Item
from yoloscale.worker.predict.pictures import picture_of
from yoloscale.yolo.inference.pictures import Unreadable
from yoloscale.yolo.inference.predictor import Predictor
from yoloscale.yolo.inference.prepare import Prepared

AHEAD_BYTES = 256 * 2**20  # of pixels, ready or being made; the file that each thread decodes comes on top
LOOK_S = 0.5  # between two looks at whether an image is ready
CLOSE_S = 5.0  # for the images that threads are at when nobody wants them any more


@dataclass(frozen=True)
class Lost:
    """Why there is no image."""

    reason: str


Loaded = tuple[Item, "Prepared | Lost"]


def load(item: Item, reader: Reader, predictor: Predictor) -> Prepared | Lost:
    """Read, decode and prepare one image. Raises OSError and MemoryError for what is wrong elsewhere; Abandoned."""
    try:
        return predictor.prepare(picture_of(item, reader, predictor.channels))
    except (NotThere, Unreadable) as unreadable:
        return Lost(unreadable.reason)


class ReadAhead:
    """Loader threads of one rank; a context manager.

    Frames of videos are read by a thread of their own, since a video is decoded in order.

    Args:
        threads: that decode, besides.
        most_bytes: the pixels that may be ready before they are taken. One image may be larger: it comes alone.
    """

    def __init__(self, reader: Reader, predictor: Predictor, threads: int, most_bytes: int = AHEAD_BYTES) -> None:
        self._reader, self._predictor, self._room = reader, predictor, _Room(most_bytes)
        self._files = ThreadPoolExecutor(threads, thread_name_prefix="loader")
        self._frames = ThreadPoolExecutor(1, thread_name_prefix="frames")
        self.window = 4 * threads + 64  # items that are given to the threads at a time

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        if self._room.has_stragglers:
            self.abandon()  # the reader cannot be closed amid a video
        for pool in (self._files, self._frames):
            pool.shutdown(wait=not self._room.has_stragglers, cancel_futures=True)

    def begin(self, items: Sequence[Item]) -> Loading:
        """Let the threads begin with the first of these; they come after all that was begun before and is not closed.

        Whoever begins closes it, taken to its end or not.
        """
        return Loading(items, self._submit, self._room, self.window, lambda: self._reader.progress)

    def abandon(self) -> None:
        """Let all reads that are under way end soon, and begin no more: the rank ends."""
        self._reader.abandon()

    def images(
        self, items: Sequence[Item], moved_on: Callable[[int], None] = lambda images: None
    ) -> Generator[Loaded, None, None]:
        """Each item with its image, in their order. Whoever leaves early closes the iterator, and nothing stays."""
        with closing(self.begin(items)) as loading:
            yield from loading.images(moved_on)

    def _submit(self, item: Item, loading: Loading, number: int) -> Future[Prepared | Lost]:
        pool = self._files if item.frame is None else self._frames
        return pool.submit(self._load, item, loading, number)

    def _load(self, item: Item, loading: Loading, number: int) -> Prepared | Lost:
        reserved = self._room.enter(loading, number)
        if reserved is None:
            return Lost("nobody waits for it any more")
        size = 0
        try:
            image = load(item, self._reader, self._predictor)
            size = _bytes(image)
            return image
        finally:
            self._room.fill(reserved, size)


class Loading:
    """Items on their way through the threads, in order; made by ReadAhead.begin, used by one thread."""

    def __init__(
        self,
        items: Sequence[Item],
        submit: Callable[[Item, Loading, int], Future[Prepared | Lost]],
        room: _Room,
        window: int,
        progress: Callable[[], int],
    ) -> None:
        self._left, self._submit, self._room, self._window = deque(enumerate(items)), submit, room, window
        self._progress = progress  # another number whenever a read that takes long has moved on
        self._given: deque[tuple[Item, Future[Prepared | Lost]]] = deque()
        room.join(self)
        self._give()

    @property
    def is_given(self) -> bool:
        """Whether the threads have all items: they could begin with others."""
        return not self._left

    def images(self, moved_on: Callable[[int], None]) -> Iterator[Loaded]:
        """Each item with its image. `moved_on` is called with 0 now and then while one is not ready; it may raise.

        Then, a sign of life is given for as long as the read moves on: a video is decoded from its start.

        Raises OSError and MemoryError for what is wrong with this machine.
        """
        while self._given:
            item, future = self._given[0]
            HEARTBEAT.at(LOADING)
            progress = self._progress()
            while not future.done():
                wait((future,), LOOK_S)
                if progress != (progress := self._progress()):
                    HEARTBEAT.at(LOADING)
                moved_on(0)
            image = future.result()
            yield item, image
            self._given.popleft()
            self._room.take(self, _bytes(image))
            self._give()

    def close(self) -> None:
        """Give up what was not taken. What a thread is at ends with its image, which is waited for a moment."""
        self._room.withdraw(self)
        futures = [future for _, future in self._given if not future.cancel()]
        self._given.clear()
        self._left.clear()
        for future in futures:
            future.add_done_callback(self._room.drop)
        if wait(futures, CLOSE_S).not_done:
            self._room.has_stragglers = True

    def _give(self) -> None:
        while self._left and len(self._given) < self._window:
            number, item = self._left.popleft()
            self._given.append((item, self._submit(item, self, number)))


class _Room:
    """The bytes of images that are ready or being made. The image that is taken next may always be made.

    What an image needs is known when it is made: until then it counts as the largest one so far.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held = self._largest = 0
        self._next: dict[Loading, int] = {}  # the number of the item that is taken next, of each that is not closed
        self._changed = threading.Condition()
        self.has_stragglers = False  # a thread may never come back from an image that nobody waits for

    def join(self, loading: Loading) -> None:
        with self._changed:
            self._next[loading] = 0

    def enter(self, loading: Loading, number: int) -> int | None:
        """Wait for room; the bytes that are reserved, None where the loading is closed."""

        def may_enter() -> bool:
            if self._held + self._largest <= self._most_bytes or loading not in self._next:
                return True
            return next(iter(self._next.items())) == (loading, number)

        with self._changed:
            self._changed.wait_for(may_enter)
            if loading not in self._next:
                return None
            self._held += self._largest
            return self._largest

    def fill(self, reserved: int, size: int) -> None:
        with self._changed:
            self._held += size - reserved
            self._largest = max(self._largest, size)
            self._changed.notify_all()

    def take(self, loading: Loading, size: int) -> None:
        with self._changed:
            self._held -= size
            self._next[loading] += 1
            self._changed.notify_all()

    def withdraw(self, loading: Loading) -> None:
        with self._changed:
            self._next.pop(loading, None)
            self._changed.notify_all()

    def drop(self, future: Future[Prepared | Lost]) -> None:
        """The image that nobody takes goes."""
        if future.exception() is None:
            with self._changed:
                self._held -= _bytes(future.result())
                self._changed.notify_all()


def _bytes(image: Prepared | Lost) -> int:
    return 0 if isinstance(image, Lost) else sum(pixels.nbytes for pixels in image.pixels)
