from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from yoloscale.system.files import (
    beside,
    first_free,
    is_part,
    make_first_free,
    replacement,
    sha256_of,
    sync_all,
    write_whole,
)


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


def test_what_a_killed_writer_leaves_is_known_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    assert is_part(beside(file), of=file)
    assert not is_part(file, of=file)
    assert not is_part(beside(tmp_path / "other.yaml"), of=file)


def test_a_replacement_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with replacement(tmp_path / "weights.pt") as part:
            part.write_bytes(b"half")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_the_file_system_of_a_folder_is_synced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    sync_all(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_all(tmp_path / "elsewhere")


@pytest.mark.skipif(sys.platform != "linux", reason="syncfs is Linux's")
def test_a_file_system_that_cannot_be_synced_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", lambda *_: 10_000)  # a number that is no file
    monkeypatch.setattr(os, "close", lambda *_: None)
    with pytest.raises(OSError, match="Bad file descriptor"):
        sync_all(tmp_path)


def test_the_first_free_name(tmp_path: Path) -> None:
    wanted = tmp_path / "runs" / "yolo"
    assert first_free(wanted) == wanted
    assert [make_first_free(wanted).name for _ in range(3)] == ["yolo", "yolo-2", "yolo-3"]
    assert first_free(wanted).name == "yolo-4"
    (tmp_path / "runs" / "yolo-2").rmdir()
    assert first_free(wanted, 3).name == "yolo-4"
    assert make_first_free(wanted).name == "yolo-2"


def test_the_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
