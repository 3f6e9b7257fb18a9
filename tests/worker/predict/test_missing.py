"""A unit of which no file is there is a mount that is missing; one file of several, or the only one, is a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from yoloscale.manifest import remote
from yoloscale.manifest.content import Content, Reader
from yoloscale.manifest.table import Item
from yoloscale.predictions.rows import Row
from yoloscale.predictions.schema import Status
from yoloscale.worker.predict.missing import refuse_missing
from yoloscale.worker.predict.units import lost_row


def rows_of(items: list[Item], base: Path) -> list[Row]:
    with Reader(base) as reader:
        return [
            Row(item.index, item.source, item.frame, None, Status.ok)
            if isinstance(content, Content)
            else lost_row(item, Status.unreadable, content.reason)
            for item, content in reader.contents(items)
        ]


def test_none_of_several_files_is_there(tmp_path: Path) -> None:
    items = [Item(index, f"mount/{index}.jpg") for index in range(3)]
    with pytest.raises(OSError, match=r"none of the 3 files of this unit is there, mount/0\.jpg being the first"):
        refuse_missing(items, rows_of(items, tmp_path))


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_one_of_them_is_there(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.jpg").write_bytes(content)
    items = [Item(index, f"{index}.jpg") for index in range(3)]
    refuse_missing(items, rows_of(items, tmp_path))


def test_a_single_file_or_a_single_video_that_has_gone_is_a_row(tmp_path: Path) -> None:
    for items in ([Item(0, "a.jpg")], [Item(frame, "v.mp4", frame) for frame in range(3)]):
        refuse_missing(items, rows_of(items, tmp_path))


def test_hosts_that_cannot_be_found_are_a_machine_without_names_of_hosts() -> None:
    items = [Item(index, f"https://host-{index}.invalid/a.jpg") for index in range(2)]
    rows = [lost_row(item, Status.unreadable, remote.NO_HOST) for item in items]
    with pytest.raises(OSError, match="none of the 2 files"):
        refuse_missing(items, rows)
    refuse_missing(items, [replace(rows[0], error="there is no such file at this address"), rows[1]])


def test_addresses_that_are_never_read_are_rows(tmp_path: Path) -> None:
    items = [Item(index, f"ftp://host/{index}.jpg") for index in range(2)]
    refuse_missing(items, rows_of(items, tmp_path))
