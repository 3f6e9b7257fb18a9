"""Which image each process was at when it was killed amid a unit's views: two that end at the same one blame it.

A file views.part/<request>/at/<piece>.<number> for each claim, named like it, with the image's index; it goes when its
writer stops or has done the piece, and stays behind where that is killed. A process that is killed from outside leaves
one, too: but seldom two at the same image.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

from yoloscale.predictions.claims import DEATHS

_DIGITS = 19


class Trail:
    """What one process leaves behind at one piece; a context manager."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def __enter__(self) -> Trail:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def at(self, index: int) -> None:
        """Say which image is opened next. Raises OSError."""
        os.pwrite(self._descriptor, f"{index:0{_DIGITS}d}".encode(), 0)

    def forget(self) -> None:
        """Remove it: no image has ended this process. To be called before the claim is released, which has its name."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def blamed(folder: Path, piece: int) -> set[int]:
    """The images of a piece at which several processes have come to their end."""
    ends = Counter(index for path in folder.glob(f"{piece:06d}.*") if (index := _index_of(path)) is not None)
    return {index for index, count in ends.items() if count >= DEATHS}


def _index_of(path: Path) -> int | None:
    """None of a file that is gone by now, or whose writer was at no image yet."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return int(content) if len(content) == _DIGITS and content.isdigit() else None
