"""The table on disk: whole or absent, read a unit at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars
import pytest

from yoloscale.manifest.table import COLUMNS, GROUP_ROWS, Entry, Item, count, read, write_entries

ROWS = 3 * GROUP_ROWS + 17


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large [1] a=b") / "manifest.parquet"
    assert write_entries((Entry(f"{number}.jpg") for number in range(ROWS)), path) == ROWS
    return path


@pytest.mark.parametrize("first", [0, 1, 1_024, GROUP_ROWS - 5, 2 * GROUP_ROWS, ROWS - 10])
def test_a_unit_is_what_lies_at_its_place(large: Path, first: int) -> None:
    expected = [Item(index, f"{index}.jpg") for index in range(first, min(first + 1_024, ROWS))]
    assert read(large, first, 1_024) == expected


def test_the_count_is_that_of_the_rows(large: Path) -> None:
    assert count(large) == ROWS
    assert read(large, ROWS, 10) == []


def test_the_columns_are_those_of_the_contract(large: Path) -> None:
    schema = polars.scan_parquet(large, glob=False).collect_schema()
    assert tuple(schema) == COLUMNS
    integer, text = polars.Int64(), polars.String()
    expected = (integer, text, integer, polars.Float64(), polars.Binary(), integer, integer)
    assert tuple(schema.values()) == expected


def test_every_field_comes_back(tmp_path: Path) -> None:
    entries = [
        Entry("a.tar", "b\udce9.jpg", 512, 7),
        Entry("v.mp4", frame=3, time_s=0.12),
        Entry("x\udce9.jpg"),
        Entry("t\udce9.tar", "v.mp4", 1024, 9, 0, 0.0),
        Entry("a.tar", "link.jpg"),
    ]
    path = tmp_path / "m.parquet"
    write_entries(entries, path)
    items = read(path, 0, 10)
    assert items == [
        Item(0, r"a.tar!b\xe9.jpg", file=b"a.tar", offset=512, size=7),
        Item(1, "v.mp4", 3, 0.12),
        Item(2, r"x\xe9.jpg", file=b"x\xe9.jpg"),
        Item(3, r"t\xe9.tar!v.mp4", 0, 0.0, b"t\xe9.tar", 1024, 9),
        Item(4, "a.tar!link.jpg", file=b"a.tar"),
    ]
    assert [item.path for item in items] == ["a.tar", "v.mp4", "x\udce9.jpg", "t\udce9.tar", "a.tar"]
    assert [item.is_member for item in items] == [True, False, False, True, True]


def test_what_ends_the_source_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    write_entries([Entry("a.jpg")], path)
    before = path.read_bytes()

    def entries() -> Iterator[Entry]:
        yield from (Entry(f"{number}.jpg") for number in range(2 * GROUP_ROWS))
        raise RuntimeError("its source is at an end")

    with pytest.raises(RuntimeError, match="at an end"):
        write_entries(entries(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_rows_are_a_table_all_the_same(tmp_path: Path) -> None:
    assert write_entries([], tmp_path / "m.parquet") == 0
    assert count(tmp_path / "m.parquet") == 0


FULL = """
import resource, signal, sys
from pathlib import Path
import polars
from yoloscale.manifest.table import Entry, write_entries
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_entries((Entry(f"{number * 7919 % 1000003}.jpg") for number in range(200_000)), Path(sys.argv[1]))
except OSError as error:
    print("OSError", error)
"""


def test_a_disk_that_takes_no_more_is_an_os_error_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FULL, str(tmp_path / "m.parquet")]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert process.stdout.startswith("OSError")
    assert list(tmp_path.iterdir()) == []
