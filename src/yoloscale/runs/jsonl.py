"""Append-only JSON lines: a line is whole or absent, whenever the writer dies.

Processes of one machine may append to one file at the same time. Those of two machines may not: an NFS client computes
by itself where O_APPEND writes, and two compute the same place. Files of which that could come true are one for each
process (events/files.py), or for one at a time.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from yoloscale.system.files import write_whole


def append(path: Path, record: Mapping[str, Any], *, must_exist: bool = False) -> None:
    """Append one object as one line, by one write to a descriptor opened for appending.

    The file is opened and closed for it: closing is what makes NFS send it. JSON has no infinity and no NaN: such
    numbers become null. Raises OSError if the disk is full; a torn line then ends before the next one begins.
    """
    line = json.dumps(_finite(record), separators=(",", ":"), default=str) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | (0 if must_exist else os.O_CREAT), 0o644)
    try:
        if _is_torn(descriptor):
            line = "\n" + line
        if os.write(descriptor, line.encode()) < len(line):  # ASCII: as many bytes as characters
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def _is_torn(descriptor: int) -> bool:
    """Whether the file ends within a line: a full disk or a crash cut it short."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def drop(path: Path, is_dropped: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrite a file without some of its lines, whole or not at all. Only for files that nobody follows."""
    if not path.exists():
        return
    lines = [line for line in read(path) if not is_dropped(line)]
    write_whole(path, "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a file; nothing if it does not exist. A torn last line is left out."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content.split(b"\n")[:-1]:
        if (record := parse(line)) is not None:
            yield record


def parse(line: bytes) -> dict[str, Any] | None:
    """The object of a line; None if a full disk or a crash tore it: the lines around it still count."""
    try:
        record = json.loads(line)
    except ValueError:  # JSONDecodeError, or UnicodeDecodeError for the zeros that a power failure leaves
        return None
    return record if isinstance(record, dict) else None
