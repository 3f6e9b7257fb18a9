from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from yoloscale.system.files import beside, write_whole


def test_two_processes_with_the_same_pid_replace_a_file_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in containers on two machines: neither finds what it has written half of replaced or gone."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    file = tmp_path / "results.csv"
    texts = [letter * 200_000 for letter in "ab"]
    with ThreadPoolExecutor(2) as machines:
        for _ in range(20):
            assert list(machines.map(write_whole, [file] * 2, texts)) == [None, None]
            assert file.read_text() in texts
    assert os.listdir(tmp_path) == ["results.csv"]  # noqa: PTH208
    assert beside(file) != beside(file)


def test_what_cannot_be_replaced_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "result.json"
    write_whole(file, "before", synced=True)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        write_whole(file, "after", synced=True)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert file.read_text() == "before"
