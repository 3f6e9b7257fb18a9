"""When a run last wrote a line of metrics before some time, without reading all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from yoloscale.runs.jsonl import parse

BLOCK_BYTES = 65536


def last_time(path: Path, before: float) -> float | None:
    """`time` of the last line of a .jsonl file whose `time` is not after `before`; None without any.

    Lines must be in the order of their times, as those of metrics.jsonl are. Reads some blocks of a file of any length.
    """
    try:
        with path.open("rb") as file:
            low, high = 0, os.fstat(file.fileno()).st_size
            while high - low > BLOCK_BYTES:
                middle = (low + high) // 2
                first = next(_times(file, middle, high), None)
                if first is None or first > before:
                    high = middle
                else:
                    low = middle
            # the line that a border cuts belongs to the part before it, which is why this reads one block more
            times = _times(file, max(low - BLOCK_BYTES, 0), high + BLOCK_BYTES)
            return max((time for time in times if time <= before), default=None)
    except FileNotFoundError:
        return None


def _times(file: BinaryIO, begin: int, end: int) -> Iterator[float]:
    """Times of the whole lines that begin in a part of a file, after the line that `begin` cuts."""
    file.seek(begin)
    if begin:
        file.readline()
    while file.tell() < end:
        line = file.readline()
        if not line.endswith(b"\n"):
            return
        record = parse(line)
        if record is not None and isinstance(record.get("time"), (int, float)):
            yield float(record["time"])
