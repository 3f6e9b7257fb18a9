"""Following a file while somebody else appends to it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from yoloscale.runs.jsonl import parse


class Tail:
    """Gives each whole line of a .jsonl file once; the file may come into being later."""

    def __init__(self, path: Path, *, last_bytes: int | None = None) -> None:
        """Start at the beginning, or with `last_bytes` at the first whole line of the file's end."""
        begin = max(0, _size(path) - last_bytes) if last_bytes is not None else 0
        self._lines, self._drop_first = Lines(path, begin), begin > 0

    def new(self) -> list[dict[str, Any]]:
        """The objects that were appended since the last call; a line still being written waits for the next one."""
        lines = self._lines.new()
        if self._drop_first and lines:
            del lines[0]
            self._drop_first = False
        return [record for line in lines if (record := parse(line)) is not None]


class Lines:
    """Gives each whole line of a file once, without its end; `offset` is where the next one begins."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path, self.offset = path, offset

    def new(self) -> list[bytes]:
        """Lines since the last call; none if the file is not there, or was made anew on NFS: later calls tell."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = file.read()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):
                return []
            raise
        whole = content[: content.rfind(b"\n") + 1]
        self.offset += len(whole)
        return whole.split(b"\n")[:-1]


def last_lines(path: Path, count: int, *, within_bytes: int = 65536) -> list[str]:
    """The end of a text file: at most `count` lines of its last `within_bytes`; nothing if there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - within_bytes))
            content = file.read()
    except FileNotFoundError:
        return []
    return content.decode(errors="replace").splitlines()[-count:]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
