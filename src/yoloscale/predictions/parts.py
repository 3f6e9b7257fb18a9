"""The parts of a prediction: a Parquet file for each unit of the manifest, complete or absent.

| folder | holds |
| --- | --- |
| predictions/ | part-<6 digits>.parquet: units that are done, and nothing else |
| predictions.part/ | what is being written, or was when its writer was killed; gone when all units are done |

A file is written in the second folder, synced, and renamed into the first: no temporary name in the first one suits all
readers of Parquet. Two writers of a unit write the same bytes: nothing of the file depends on who writes it, when, or
in which pieces its rows came.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from yoloscale.system.files import sync, sync_all

if TYPE_CHECKING:
    import polars as pl

FOLDER, UNFINISHED = "predictions", "predictions.part"
MAPS = "maps"  # folder with one of each unit whose rows name maps (maps.py)
_NAME = re.compile(r"part-(\d{6,})\.parquet")
_ONE_GROUP = 1 << 30  # rows: a unit is one row group
_LEVEL = 3  # of zstd
_PAGE_BYTES = 1 << 20


class PartNotWritten(OSError):  # noqa: N818  # reads as what happened
    """The disk does not take a file of a unit; what there was stays, and the unit can be done again."""


def path(run_path: Path, unit: int) -> Path:
    """The file of one unit, from 0."""
    return run_path / FOLDER / f"part-{unit:06d}.parquet"


def done(run_path: Path) -> set[int]:
    """The units whose files are there, by one look at the folder."""
    try:
        with os.scandir(run_path / FOLDER) as entries:
            return {int(match[1]) for entry in entries if (match := _NAME.fullmatch(entry.name))}
    except FileNotFoundError:
        return set()


def write(run_path: Path, unit: int, frame: pl.DataFrame) -> Path:
    """Put the rows of one unit on disk, whole and synced, after its maps; returns the file. Raises PartNotWritten.

    Any rank calls it, several at the same time as well. Where the file is there already, it is replaced by its like.
    """
    target = path(run_path, unit)
    unfinished = run_path / UNFINISHED / f"part-{unit:06d}.{secrets.token_hex(4)}.parquet"
    try:
        for folder in (unfinished.parent, target.parent):
            folder.mkdir(exist_ok=True)
        try:
            _write(frame, unfinished)
            if (maps := run_path / MAPS / f"{unit:06d}").is_dir():
                sync_all(maps)
            sync(unfinished)
            unfinished.rename(target)
        finally:
            unfinished.unlink(missing_ok=True)
        sync(target.parent)
    except OSError as error:
        raise not_written(run_path, target, error) from error
    return target


def not_written(run_path: Path, target: Path, error: OSError) -> PartNotWritten:
    """The error of a file of a unit that the disk did not take, with what to do."""
    reason = error.strerror or str(error)
    instead = f"make room below {run_path} and resume the run: the units that are done stay done"
    return PartNotWritten(f"{target.relative_to(run_path)} could not be written ({reason}); {instead}")


def drop_unfinished(run_path: Path) -> None:
    """Remove what killed writers have left, once every unit is done."""
    shutil.rmtree(run_path / UNFINISHED, ignore_errors=True)


def scan(run_path: Path, units: Collection[int] | None = None) -> pl.LazyFrame:
    """All rows in the order of the manifest, or those of some units; read when the frame is collected.

    Raises FileNotFoundError where no unit is done.
    """
    import polars as pl

    chosen = sorted(done(run_path) if units is None else units)
    if not chosen:
        raise FileNotFoundError(f"no unit is done in {run_path / FOLDER}")
    return pl.scan_parquet([path(run_path, unit) for unit in chosen])


def _write(frame: pl.DataFrame, to: Path) -> None:
    """Every choice that the bytes of the file depend on is made here. Raises OSError.

    By way of memory: Polars tells of a full disk as of a broken file.
    """
    content = BytesIO()
    frame.rechunk().write_parquet(
        content,
        compression="zstd",
        compression_level=_LEVEL,
        statistics=True,
        row_group_size=_ONE_GROUP,
        data_page_size=_PAGE_BYTES,
        use_pyarrow=False,
    )
    to.write_bytes(content.getbuffer())
