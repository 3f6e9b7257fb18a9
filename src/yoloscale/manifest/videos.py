"""Frames of videos, as Ultralytics' LoadImagesAndVideos takes them: every `stride`-th, turned upright by OpenCV.

A video is always decoded from its first frame on, so that a frame has the same bytes whoever reads it. Frames are
counted by decoding, as what a file says of its own length is often wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class Video:
    """Where the bytes of a video are: a file, or `size` bytes of one from `offset` on."""

    path: str  # as `os.fsdecode` makes it
    offset: int | None = None
    size: int | None = None


def frames(video: Video, stride: int) -> Iterator[tuple[int, float]]:
    """The number, from 0, and the time in seconds of every `stride`-th frame; nothing where none can be decoded."""
    assert stride > 0
    decoder = Decoder(video)
    try:
        while decoder.grab(decoder.next + stride - 1):
            yield decoder.next - 1, decoder.time_s
    finally:
        decoder.close()


@dataclass
class Decoder:
    """An open video, which goes forward only."""

    video: Video
    next: int = 0  # number of the frame that is decoded next
    _capture: Any = field(init=False)
    _descriptor: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        import cv2

        name = os.path.abspath(self.video.path)  # noqa: PTH100  # FFmpeg takes `a:b` for a protocol, `/…/a:b` for a file
        try:
            name.encode()
        except UnicodeEncodeError:
            with suppress(OSError):  # then nothing can be decoded, as of any file that is not there
                self._descriptor = os.open(name, os.O_RDONLY)
                name = f"/proc/self/fd/{self._descriptor}"
        if self.video.offset is None or self.video.size is None:
            self._capture = cv2.VideoCapture(name)
        else:
            place = f"subfile,,start,{self.video.offset},end,{self.video.offset + self.video.size},,:{name}"
            self._capture = cv2.VideoCapture(place, cv2.CAP_FFMPEG)

    @property
    def time_s(self) -> float:
        """When the frame that was decoded last is shown."""
        import cv2

        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    def grab(self, number: int, on_frame: Callable[[], None] = lambda: None) -> bool:
        """Decode on until `number` is the frame that was decoded last; whether there is one. There is no way back.

        `on_frame` is called after each frame; what it raises leaves the decoder where it is.
        """
        assert number >= self.next - 1
        while self.next <= number:
            if not self._capture.grab():
                return False
            self.next += 1
            on_frame()
        return True

    def image(self) -> numpy.ndarray[Any, Any] | None:
        """The frame that was decoded last, height × width × 3, BGR, uint8; None if it cannot be had."""
        is_there, image = self._capture.retrieve()
        return image if is_there else None

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
