"""Maps are on the disk before the part that names them, and what killed writers have left goes at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from yoloscale.predictions import maps, parts


def test_maps_of_a_unit_are_synced_before_its_part_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [maps.write(tmp_path, 3, index, np.full((4, 5), index, np.int32)) for index in range(2)]
    states = list[tuple[int, bool]]()

    def note(folder: Path) -> None:
        assert folder == (tmp_path / names[0]).parent
        states.append((len(list(folder.iterdir())), parts.path(tmp_path, 3).exists()))

    monkeypatch.setattr(parts, "sync_all", note)
    parts.write(tmp_path, 3, pl.DataFrame({"map": names}))
    assert states == [(2, False)]
    parts.write(tmp_path, 4, pl.DataFrame({"index": [1]}))
    assert len(states) == 1  # no maps, no wait


def test_a_disk_that_does_not_take_the_maps_has_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    maps.write(tmp_path, 0, 0, np.zeros((4, 5), np.float32))
    monkeypatch.setattr(parts, "sync_all", fail)
    with pytest.raises(parts.PartNotWritten, match="No space left"):
        parts.write(tmp_path, 0, pl.DataFrame({"index": [0]}))
    assert parts.done(tmp_path) == set()


def test_what_killed_writers_have_left_goes_and_nothing_else(tmp_path: Path) -> None:
    names = [maps.write(tmp_path, unit, unit, np.zeros((4, 5), np.float32)) for unit in range(2)]
    (tmp_path / f"{names[1]}.0a0b0c0d.part").write_bytes(b"half")
    calls = list[int]()
    maps.drop_unfinished(tmp_path, lambda: calls.append(1))
    assert len(calls) == 2
    assert sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "maps").rglob("*.*")) == names
    maps.drop_unfinished(tmp_path / "elsewhere")
