"""A part is there whole or not at all, and has the same bytes whoever writes it."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from yoloscale.config.tasks import Task
from yoloscale.predictions import parts
from yoloscale.predictions.rows import Row, as_frame
from yoloscale.predictions.schema import Status
from yoloscale.system.files import sha256_of


def frame(first: int, count: int, seed: int = 0) -> pl.DataFrame:
    rows = []
    for index in range(first, first + count):
        random = np.random.default_rng((seed, index))
        objects = int(random.integers(0, 9))
        values = {
            "boxes": random.random((objects, 4), dtype=np.float32),
            "scores": random.random(objects, dtype=np.float32),
            "classes": random.integers(0, 80, objects).astype(np.int32),
        }
        status = Status.ok if objects else Status.empty
        rows.append(Row(index, f"images/{index % 7}.jpg", None, None, status, None, 480, 640, values))
    return as_frame(rows, Task.detect)


def test_the_same_rows_have_the_same_bytes_in_whatever_pieces_they_came(tmp_path: Path) -> None:
    whole = frame(0, 300)
    pieces = pl.concat([frame(first, 50) for first in range(0, 300, 50)], rechunk=False)
    slices = pl.concat([whole[first : first + 1] for first in range(300)], rechunk=False)
    assert pieces.n_chunks() > 1

    digests = set()
    for number, rows in enumerate((whole, whole, pieces, slices, frame(0, 300))):
        digests.add(sha256_of(parts.write(tmp_path, number, rows)))

    assert len(digests) == 1
    assert sha256_of(parts.write(tmp_path, 9, frame(0, 300, seed=1))) not in digests


def test_parts_are_one_table_in_the_order_of_the_units(tmp_path: Path) -> None:
    for unit in (2, 0, 1):
        parts.write(tmp_path, unit, frame(10 * unit, 10))

    assert parts.done(tmp_path) == {0, 1, 2}
    assert parts.path(tmp_path, 1).name == "part-000001.parquet"
    assert parts.scan(tmp_path).collect().equals(frame(0, 30))
    assert parts.scan(tmp_path, [1]).collect().equals(frame(10, 10))


def test_what_other_programs_leave_is_no_part(tmp_path: Path) -> None:
    assert parts.done(tmp_path) == set()
    with pytest.raises(FileNotFoundError, match="no unit is done"):
        parts.scan(tmp_path)

    parts.write(tmp_path, 3, frame(0, 1))
    (tmp_path / "predictions/part-000004.parquet.tmp").touch()
    (tmp_path / "predictions/notes.txt").touch()
    assert parts.done(tmp_path) == {3}


def test_a_disk_that_fills_up_amid_a_part_leaves_none_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        assert path.stat().st_size > 0  # the write has begun
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    parts.write(tmp_path, 0, frame(0, 5))
    with monkeypatch.context() as patch:
        patch.setattr(parts, "sync", full)
        with pytest.raises(parts.PartNotWritten, match=r"part-000001.*No space left.*make room.*resume"):
            parts.write(tmp_path, 1, frame(5, 5))

    assert parts.done(tmp_path) == {0}
    assert list((tmp_path / parts.UNFINISHED).iterdir()) == []
    parts.write(tmp_path, 1, frame(5, 5))
    assert parts.done(tmp_path) == {0, 1}


def test_what_the_kernel_says_of_a_file_that_cannot_grow_is_told(tmp_path: Path) -> None:
    rows = frame(0, 500)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(parts.PartNotWritten, match=r"part-000000.*File too large"):
            parts.write(tmp_path, 0, rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.rglob("*.parquet")) == []


def test_what_killed_writers_left_goes_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / parts.UNFINISHED
    folder.mkdir()
    (folder / "part-000001.aaaa.parquet").touch()
    assert parts.done(tmp_path) == set()

    parts.drop_unfinished(tmp_path)
    assert not folder.exists()
    parts.drop_unfinished(tmp_path)


def test_no_folder_of_a_run_that_is_gone_is_made_again(tmp_path: Path) -> None:
    with pytest.raises(parts.PartNotWritten):
        parts.write(tmp_path / "gone", 0, frame(0, 1))
    assert not (tmp_path / "gone").exists()
