"""Following a .jsonl file while somebody else appends to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from yoloscale.runs.jsonl import parse


class Tail:
    """Gives each whole line of a file once; the file may come into being later."""

    def __init__(self, path: Path, *, last_bytes: int | None = None) -> None:
        """Start at the beginning, or with `last_bytes` at the first whole line of the file's end."""
        self._path = path
        self._offset = 0
        self._drop_first = False
        if last_bytes is not None and (size := _size(path)) > last_bytes:
            self._offset, self._drop_first = size - last_bytes, True

    def new(self) -> list[dict[str, Any]]:
        """The objects that were appended since the last call; a line still being written waits for the next one."""
        lines = self._new_lines()
        if self._drop_first and lines:
            del lines[0]
            self._drop_first = False
        return [record for line in lines if (record := parse(line)) is not None]

    def _new_lines(self) -> list[bytes]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
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
