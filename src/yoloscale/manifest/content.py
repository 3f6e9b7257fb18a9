"""What an item of the manifest holds: the bytes of an image, or a frame of a video; or why there is neither.

What is wrong with one source is its own `Unreadable`, told alike on every machine. What is wrong with this machine (no
descriptors, no memory), with a mount or with a server is an OSError: that passes, and is nothing to freeze into a row.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from yoloscale.datasets.file_kinds import is_video
from yoloscale.manifest import remote, tar
from yoloscale.manifest.pace import Pace
from yoloscale.manifest.remote import MACHINE_FAULTS, RemoteError, is_remote
from yoloscale.manifest.table import Item
from yoloscale.manifest.videos import Decoder, Video

if TYPE_CHECKING:
    import numpy

_MOUNT_FAULTS = (
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ESHUTDOWN, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EAGAIN),
)
NO_FILE = "there is no such file"
_MOST_AT_ONCE = 1 << 30  # bytes; the system gives no more than 2 GiB in one go


class Unreadable(Exception):  # noqa: N818  # a state of an item that is handed on, more often than raised
    """Why an item has no image, in one line without a path."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Content:
    """The bytes of an image file, or a frame: height × width × 3, BGR, uint8."""

    data: bytes | numpy.ndarray[Any, Any]


class Reader:
    """Reads items; one video stays open, so that units of it that come one after the other decode it once.

    A context manager. Its methods may be called from several threads; frames of a video are to be asked for in their
    order, as going back means to decode it from its start. That may take long: whoever waits looks at `progress`.
    """

    def __init__(self, base: Path = Path()) -> None:
        """`base`: the folder that relative paths are below."""
        self._base = os.fspath(base)
        self._lock = Lock()
        self._video: Video | None = None  # that the decoder is in
        self._decoder: Decoder | None = None
        self._copy: IO[bytes] | None = None  # of a video behind an address
        self._pace = Pace()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def contents(self, items: Iterable[Item]) -> Iterator[tuple[Item, Content | Unreadable]]:
        """Each item with what it holds, in their order. Raises OSError for what is wrong with anything else."""
        for item in items:
            try:
                yield item, self.read(item)
            except Unreadable as unreadable:
                yield item, unreadable

    def read(self, item: Item) -> Content:
        """What an item holds.

        Raises Unreadable, OSError for what is wrong with anything else than the source, and Abandoned.
        """
        if item.is_member and item.offset is None:
            raise Unreadable("is a link within its archive, without bytes of its own")
        if item.frame is not None:
            with self._lock:
                return Content(self._frame(item, item.frame))
        if is_video(remote.name_of(item.source) if is_remote(item.source) else item.source):
            raise Unreadable("is a video without a frame to take: none can be decoded, or vid_stride is longer than it")
        if item.offset is not None and item.size is not None:
            return Content(self._member(item, item.offset, item.size))
        if is_remote(item.path):
            try:
                return Content(remote.read(item.path, self._pace))
            except RemoteError as error:
                raise Unreadable(error.reason) from error
        with _opened(self._place(item)) as file:
            return Content(_read(file, 0, os.fstat(file.fileno()).st_size))

    @property
    def progress(self) -> int:
        """Another number whenever a frame has been decoded or a piece of a video copied; asked from any thread."""
        return self._pace.progress

    def abandon(self) -> None:
        """Make the reads that run and all later ones raise Abandoned, between two frames or amid a wait for a server.

        From any thread.
        """
        self._pace.abandon()

    def close(self) -> None:
        """Let go of the open video. Another read opens it again."""
        with self._lock:
            self._close()

    def _place(self, item: Item) -> str:
        return os.path.join(self._base, item.path)  # noqa: PTH118  # text, as paths need not be UTF-8

    def _member(self, item: Item, offset: int, size: int) -> bytes:
        with _opened(self._place(item)) as file:
            content = _read(file, offset - tar.BLOCK, tar.BLOCK + size)
        header, data = content[: tar.BLOCK], content[tar.BLOCK :]
        if len(data) < size or not tar.is_place_of(header, item.member, size):
            raise Unreadable("is not where it was in its archive when the manifest was made")
        return data

    def _frame(self, item: Item, number: int) -> numpy.ndarray[Any, Any]:
        decoder = self._decoder_of(item, number)
        image = decoder.image() if decoder.grab(number, self._pace.move) else None
        if image is None:
            raise Unreadable(f"frame {number} cannot be decoded")
        return image

    def _decoder_of(self, item: Item, number: int) -> Decoder:
        """The open decoder, if it is in that video and not past that frame; else a new one. Raises Unreadable."""
        is_here = not is_remote(item.path)
        video = Video(self._place(item) if is_here else item.path, item.offset, item.size)
        if self._decoder is not None and self._video == video and self._decoder.next <= number + 1:
            return self._decoder
        if is_here:
            _opened(video.path).close()  # says why there is nothing
        if self._video != video:
            self._close()
            try:
                self._copy = None if is_here else remote.copied(video.path, self._pace)
            except RemoteError as error:
                raise Unreadable(error.reason) from error
        elif self._decoder is not None:
            self._decoder.close()
        self._video = video
        self._decoder = Decoder(Video(self._copy.name) if self._copy is not None else video)
        return self._decoder

    def _close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
        if self._copy is not None:
            self._copy.close()
        self._video = self._decoder = self._copy = None


def contents(items: Iterable[Item], base: Path = Path()) -> Iterator[tuple[Item, Content | Unreadable]]:
    """Each item with what it holds, as `Reader.contents`; a video is decoded from its start."""
    with Reader(base) as reader:
        yield from reader.contents(items)


def _opened(path: str) -> IO[bytes]:
    """A file, open for reading. Raises Unreadable if it is none or cannot be opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer
    except OSError as error:
        raise _unreadable(error) from error
    except ValueError as error:
        raise Unreadable("there is a zero byte in its path") from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, "rb", buffering=0)  # noqa: PTH123
    os.close(descriptor)
    raise Unreadable("is no file, but a folder, a pipe or a device")


def _read(file: IO[bytes], offset: int, size: int) -> bytes:
    """`size` bytes from a place of a file, fewer where it ends before. Raises Unreadable."""
    pieces = list[bytes]()
    try:
        while size > 0 and (piece := os.pread(file.fileno(), min(size, _MOST_AT_ONCE), offset)):
            pieces.append(piece)
            offset, size = offset + len(piece), size - len(piece)
    except OSError as error:
        raise _unreadable(error) from error
    return b"".join(pieces)


def _unreadable(error: OSError) -> Unreadable:
    """What to tell of a source that the system cannot give. Raises the error if that is not the source's fault."""
    if error.errno in MACHINE_FAULTS or error.errno in _MOUNT_FAULTS:
        raise error
    if error.errno == errno.ENOENT:
        return Unreadable(NO_FILE)
    return Unreadable(f"cannot be read ({os.strerror(error.errno) if error.errno else type(error).__name__})")
