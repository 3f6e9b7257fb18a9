"""The end of a prediction: what its parts come to, and the list of the images that it could not do.

One part is in memory at a time, and of that a few columns: a million images need no more room than a thousand.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from yoloscale.predictions import parts
from yoloscale.predictions.schema import Status
from yoloscale.system.files import replacement

if TYPE_CHECKING:
    import polars as pl

FAILURES = "failures.csv"
COLUMNS = ("index", "source", "frame", "status", "error")  # of failures.csv
_LOST = (Status.unreadable.value, Status.failed.value)


@dataclass
class Counts:
    """Images by what became of them, and objects found in all; the sum of the four is `images`."""

    images: int = 0
    ok: int = 0
    empty: int = 0
    unreadable: int = 0
    failed: int = 0
    detections: int = 0  # boxes, of whatever task has them; 0 of the others

    def as_record(self) -> dict[str, int]:
        return asdict(self)


def summarise(run_path: Path, units: Iterable[int], moved_on: Callable[[], None] = lambda: None) -> Counts:
    """Count what the parts of these units hold, and write failures.csv, whole; its rows are in the manifest's order.

    `moved_on` is called for each part. Any rank may call it, several as well: all write the same. Raises OSError.
    """
    counts = Counts()
    with replacement(run_path / FAILURES) as part, part.open("w", encoding="utf-8", newline="") as file:
        for failures in _through(run_path, sorted(units), counts):
            _write(file, failures)
            moved_on()
    return counts


def _through(run_path: Path, units: Iterable[int], counts: Counts) -> Iterator[pl.DataFrame]:
    """The failures of each part in turn, which is counted meanwhile."""
    import polars as pl

    for unit in units:
        rows = pl.scan_parquet(parts.path(run_path, unit))
        chosen: list[Any] = [pl.col(*COLUMNS)]
        if "scores" in rows.collect_schema():
            chosen.append(pl.col("scores").list.len().fill_null(0).alias("objects"))
        frame = rows.select(chosen).collect()
        _count(frame, counts)
        yield frame.filter(pl.col("status").is_in(_LOST))


def _count(frame: pl.DataFrame, counts: Counts) -> None:
    counts.images += frame.height
    for status, number in frame["status"].value_counts().iter_rows():
        setattr(counts, Status(status).value, getattr(counts, Status(status).value) + number)
    if "objects" in frame.columns:
        counts.detections += int(frame["objects"].sum())


def _write(file: TextIO, failures: pl.DataFrame) -> None:
    writer = csv.writer(file, lineterminator="\n")
    if file.tell() == 0:
        writer.writerow(COLUMNS)
    writer.writerows(failures.select(COLUMNS).iter_rows())
