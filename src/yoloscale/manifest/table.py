"""manifest.parquet: a row an image or frame, written as it streams by, read a few rows at a time.

| column | type | what it says |
| --- | --- | --- |
| index | Int64 | 0, 1, … in the order of the sources |
| source | String | path, address, or `archive.tar!member`: what rows of predictions are told apart by, for people |
| frame | Int64, null | number in its video, from 0; null: no video, or one in which no frame can be decoded |
| time_s | Float64, null | when the frame is shown |
| file | Binary, null | bytes of the path to open, where `source` is not that: an archive, a name that is not UTF-8 |
| offset, size | Int64, null | where a member's content is in `file`, in bytes; null for a link in an archive |

A relative path stays as it was typed, below the working folder. A byte of a name that is not UTF-8 is `\\xff` in
`source`. An image that is listed twice is two rows.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from yoloscale.system.files import replacement, sync

if TYPE_CHECKING:
    import polars

COLUMNS = ("index", "source", "frame", "time_s", "file", "offset", "size")
GROUP_ROWS = 8_192  # of a row group: all that is decoded for a unit that lies in it
_WAIT_S = 0.1  # between looks whether the other thread still lives


class Entry(NamedTuple):
    """What a source holds, on its way into the table. Paths are text as `os.fsdecode` makes it."""

    path: str  # file or address to open
    member: str | None = None  # in the archive at `path`
    offset: int | None = None  # bytes
    size: int | None = None  # bytes
    frame: int | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A row of the manifest; see the table above. `source` is valid UTF-8."""

    index: int
    source: str
    frame: int | None = None
    time_s: float | None = None
    file: bytes | None = None
    offset: int | None = None
    size: int | None = None

    @property
    def path(self) -> str:
        """The file or address to open; of an archive's member the archive."""
        return self.source if self.file is None else os.fsdecode(self.file)

    @property
    def is_member(self) -> bool:
        """Whether it is in an archive."""
        return self.file is not None and self.source != shown(self.path)

    @property
    def member(self) -> str:
        """The name within its archive, as far as it is UTF-8; empty for what is in none."""
        return self.source[len(shown(self.path)) + 1 :]


def shown(name: str) -> str:
    """A path as text that can be written as UTF-8: a byte that is not UTF-8 becomes `\\xff`."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def write_entries(entries: Iterable[Entry], to: Path) -> int:
    """Write a row for each entry; return how many. The file is whole and on the disk, or as it was.

    Memory is that of a few row groups. `entries` is consumed in this thread, so that signals are heeded; Polars, which
    holds them back, writes in another. Raises OSError where the disk does not take it, and what `entries` raises.
    """
    batches, is_abandoned, count = Queue["polars.DataFrame | None"](maxsize=1), Event(), 0
    with replacement(to) as part:
        with ThreadPoolExecutor(1, thread_name_prefix="manifest") as executor:
            writing = executor.submit(_write_batches, batches, is_abandoned, part)
            try:
                stream = iter(entries)
                while rows := list(islice(stream, GROUP_ROWS)):
                    _hand_over(_frame(rows, count), batches, writing)
                    count += len(rows)
                _hand_over(None, batches, writing)
                _wait_for(writing)
            finally:
                is_abandoned.set()
        sync(part)
    sync(to.parent)
    return count


def count(path: Path) -> int:
    """How many rows a manifest has; its footer alone is read. Raises OSError."""
    import polars

    return int(_scan(path).select(polars.len()).collect().item())


def read(path: Path, first: int, count: int) -> list[Item]:
    """The rows from `first` on, `count` at most: those of a unit. Only the row groups that hold them are decoded.

    Raises OSError.
    """
    rows = _scan(path).slice(first, count).select(COLUMNS).collect()
    return [Item(*row) for row in rows.iter_rows()]


def _scan(path: Path) -> polars.LazyFrame:
    import polars

    return polars.scan_parquet(path, glob=False, hive_partitioning=False)


def _schema() -> dict[str, Any]:
    from polars import Binary, Float64, Int64, String

    return dict(zip(COLUMNS, (Int64, String, Int64, Float64, Binary, Int64, Int64), strict=True))


def _frame(entries: list[Entry], first: int) -> polars.DataFrame:
    """Rows of the table, numbered from `first`."""
    import polars

    sources = list[str]()
    files = list[bytes | None]()
    for entry in entries:
        path = shown(entry.path)
        sources.append(path if entry.member is None else f"{path}!{shown(entry.member)}")
        files.append(None if entry.member is None and path == entry.path else os.fsencode(entry.path))
    _, _, offsets, sizes, frames, times = zip(*entries, strict=True)
    columns = (range(first, first + len(entries)), sources, frames, times, files, offsets, sizes)
    return polars.DataFrame(dict(zip(COLUMNS, columns, strict=True)), schema=_schema())


def _hand_over(batch: polars.DataFrame | None, batches: Queue[polars.DataFrame | None], writing: Future[None]) -> None:
    """Wait until the writing thread takes the batch; raise what has ended that thread."""
    while not writing.done():
        try:
            batches.put(batch, timeout=_WAIT_S)
        except Full:
            continue
        return
    _wait_for(writing)


def _wait_for(writing: Future[None]) -> None:
    """Wait until the file is written. Raises OSError where it cannot be; Polars has that in its text."""
    from polars.exceptions import PolarsError

    try:
        writing.result()
    except PolarsError as error:
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code)) from error


def _write_batches(batches: Queue[polars.DataFrame | None], is_abandoned: Event, path: Path) -> None:
    """Write batches until one is None. Raises PolarsError and OSError, as Polars does."""
    from polars.io.plugins import register_io_source

    def stream(*_: object) -> Iterator[polars.DataFrame]:
        while True:
            try:
                batch = batches.get(timeout=_WAIT_S)
            except Empty:
                if is_abandoned.is_set():
                    raise _AbandonedError from None
                continue
            if batch is None:
                return
            yield batch

    register_io_source(stream, schema=_schema()).sink_parquet(path, row_group_size=GROUP_ROWS)


class _AbandonedError(Exception):
    """Whoever made the batches will make no more of them."""
