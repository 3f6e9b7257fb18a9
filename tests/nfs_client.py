"""A stand-in for the part of an NFS client that appends: one for each process, as each machine has one.

The size of a file is asked for when it is opened and believed until it is closed, so that O_APPEND writes to where the
file ended then. Two clients that opened it at the same time write to the same place. O_EXCL is the server's, and holds.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


class NfsClient:
    """Takes the place of this process's `os.open`, `os.write` and `os.fstat`, for good: for child processes only."""

    def __init__(self, opened: Callable[[], object]) -> None:
        """`opened` is called when a file has been opened for appending, and nothing has been written yet."""
        self._opened, self._sizes = opened, dict[int, int]()
        self._open, self._write, self._fstat = os.open, os.write, os.fstat
        os.open, os.write, os.fstat = self.open, self.write, self.fstat  # type: ignore[assignment]

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        descriptor = self._open(path, flags & ~os.O_APPEND, mode, dir_fd=dir_fd)
        self._sizes.pop(descriptor, None)
        if flags & os.O_APPEND:
            self._sizes[descriptor] = self._fstat(descriptor).st_size
            self._opened()
        return descriptor

    def write(self, descriptor: int, content: bytes) -> int:
        if descriptor not in self._sizes:
            return self._write(descriptor, content)
        written = os.pwrite(descriptor, content, self._sizes[descriptor])
        self._sizes[descriptor] += written
        return written

    def fstat(self, descriptor: int) -> os.stat_result:
        told = list(self._fstat(descriptor))
        if descriptor in self._sizes:
            told[6] = self._sizes[descriptor]
        return os.stat_result(told)
