"""Decoded images once per node, whatever becomes of the processes that decode them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yoloscale.data import cache
from yoloscale.distributed.environment import Ranks
from yoloscale.system.memory import Room

COUNT = 11


def read(index: int) -> tuple[np.ndarray[Any, Any], tuple[int, int]]:
    """Image `index`: a size and a content of its own."""
    image = np.full((4 + index, 6, 3), index, dtype=np.uint8)
    image[0, 0] = (index, 1, 2)
    return image, (40 + index, 60)


def assert_images(images: Any) -> None:
    assert len(images) == COUNT
    for index in range(COUNT):
        expected, original = read(index)
        assert np.array_equal(images[index], expected)
        assert images.shapes[index] == expected.shape
        assert images.originals[index] == original


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of /dev/shm."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(cache, "SHARED_MEMORY", folder)
    return folder


@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_what_was_decoded_is_read(kind: str, memory: Path, tmp_path: Path) -> None:
    assert_images(cache.build(kind, COUNT, read, "key", tmp_path / "disk", Ranks(), threads=2))
    assert list(memory.iterdir()) == [], "shared memory is given back when the processes end, however they end"


def test_a_disk_cache_is_found_again(memory: Path, tmp_path: Path) -> None:
    cache.build("disk", COUNT, read, "key", tmp_path, Ranks(), threads=1)

    def refuse(index: int) -> Any:
        raise AssertionError("decoded again")

    assert_images(cache.build("disk", COUNT, refuse, "key", tmp_path, Ranks(), threads=1))


def test_what_a_killed_process_left_is_never_read(
    memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(index: int) -> Any:
        if index == 5:
            raise KeyboardInterrupt
        return read(index)

    monkeypatch.setattr(cache, "_refusal", lambda *_: None)  # it reads samples, too
    with pytest.raises(KeyboardInterrupt):
        cache.build("disk", COUNT, die, "key", tmp_path / "disk", Ranks(), threads=1)
    assert_images(cache.build("disk", COUNT, read, "key", tmp_path / "disk", Ranks(), threads=1))
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["yoloscale-key-1"]


def test_two_runs_at_once(memory: Path, tmp_path: Path) -> None:
    """The other one is ready while this one still decodes."""
    others = []

    def reading(index: int) -> Any:
        if index == 7 and not others:
            other = Ranks(host="another")
            others.append(cache.build("disk", COUNT, read, "key", tmp_path / "disk", other, threads=1))
        return read(index)

    assert_images(cache.build("disk", COUNT, reading, "key", tmp_path / "disk", Ranks(), threads=1))
    assert_images(others[0])
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["yoloscale-key-1"]


def test_a_reader_gets_a_copy_of_its_own(memory: Path, tmp_path: Path) -> None:
    images = cache.build("ram", COUNT, read, "key", tmp_path, Ranks(), threads=1)
    assert not isinstance(images, str)
    images[3][:] = 255
    assert_images(images)


def test_too_little_room_is_said_and_nothing_is_left(
    memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 100

    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: Usage)
    answer = cache.build("disk", COUNT, read, "key", tmp_path / "disk", Ranks(), threads=1)
    assert isinstance(answer, str)
    assert "cache=disk needs" in answer
    assert not (tmp_path / "disk").exists()


def test_the_jobs_memory_limits_what_is_kept_in_memory(
    memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = int(1.1 * sum(read(index)[0].nbytes for index in range(COUNT)))
    left: list[int] = []
    monkeypatch.setattr(cache.memory, "available", lambda: Room(left[-1], "the control group's limit of 1.0 GiB"))

    def answer(kind: str, free_bytes: int, spared: int) -> Any:
        left.append(free_bytes)
        return cache.build(kind, COUNT, read, "key", tmp_path / "disk", Ranks(), threads=1, spared=spared)

    assert_images(answer("ram", 2 * needed + 1002, 1000))
    refused = answer("ram", 2 * needed + 1002, 1010)
    assert isinstance(refused, str)
    assert refused.endswith("may be used (the control group's limit of 1.0 GiB): not cached")
    assert list(memory.iterdir()) == []
    assert_images(answer("disk", 0, 1000))


def test_the_key_changes_with_the_files_and_the_settings(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a", "b")]
    for file in files:
        Path(file).write_text("x")
    keys = {cache.fingerprint(files, 640), cache.fingerprint(files, 320), cache.fingerprint(files[::-1], 640)}
    os.utime(files[0], ns=(1, 1))
    keys.add(cache.fingerprint(files, 640))
    Path(files[1]).write_text("longer")
    keys.add(cache.fingerprint(files, 640))
    assert len(keys) == 5


def test_names_of_any_bytes_have_a_key(tmp_path: Path) -> None:
    file = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")
    Path(file).write_text("x")
    assert cache.fingerprint([file], 640) != cache.fingerprint([file], 320)


@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_what_was_left_is_removed_and_what_others_fill_is_not(kind: str, memory: Path, tmp_path: Path) -> None:
    """Whoever fills it may be in another container, where pids are others."""
    folder = memory if kind == "ram" else tmp_path / "disk"
    host = Ranks().host
    left, others = (folder / f".yoloscale-{name}-key-1@{host}@{name}.partial" for name in ("a", "b"))
    with cache._owned(left):
        pass  # and killed
    with cache._owned(others):
        cache.build(kind, COUNT, read, "key", tmp_path / "disk", Ranks(), threads=1)
        assert not left.exists()
        assert others.exists()


def test_a_disk_cache_that_another_node_fills_stays(memory: Path, tmp_path: Path) -> None:
    """Some file systems show a lock only on the node that holds it: here, nobody seems to hold it."""
    seen: list[list[Path]] = []

    def reading(index: int) -> Any:
        seen.append(list(tmp_path.glob(".*.partial")))
        return read(index)

    cache.build("disk", COUNT, reading, "other", tmp_path, Ranks(host="another"), threads=1)
    (partial,) = seen[-1]
    with cache._owned(partial):
        pass
    cache.build("disk", COUNT, read, "key", tmp_path, Ranks(host="other"), threads=1)
    assert partial.exists()
    cache.build("disk", COUNT, read, "key", tmp_path, Ranks(host="another"), threads=1)
    assert not partial.exists()


KEY = "0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("name", "age_s", "stays"),
    [
        (f".yoloscale-4194304-{KEY}-1.host.4194304.partial", 3700, False),
        (f"yoloscale-4194304-{KEY}-1", 3700, False),
        (f".yoloscale-4194304-{KEY}-1.host.4194304.partial", 3500, True),
        (f".yoloscale-OWN-{KEY}-1.host.OWN.partial", 3700, True),
        (f".yoloscale-{KEY[:12]}-{KEY}-1@host@{KEY[:12]}.partial", 3700, False),
        (f".yoloscale-{KEY[:12]}-{KEY}-1@host@{KEY[:12]}.partial", 3500, True),
        ("yoloscale-2024-dataset", 3700, True),
        ("yoloscale-dataset", 3700, True),
    ],
)
def test_what_nobody_owns_is_removed_when_it_is_old(
    name: str, age_s: int, stays: bool, memory: Path, tmp_path: Path
) -> None:
    """Of older versions, which named it by their process (OWN: this one), and of a kill before it had an owner."""
    folder = memory / name.replace("OWN", str(os.getpid()))
    folder.mkdir()
    file = folder / f"{cache._OWNER}.new"
    file.touch()
    for path in (file, folder):
        os.utime(path, times=(time.time() - age_s,) * 2)
    cache.build("ram", COUNT, read, "key", tmp_path / "disk", Ranks(), threads=1)
    assert folder.exists() is stays


def test_a_kill_before_the_owner_is_named_leaves_one_folder(
    memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fcntl.flock", die)
    with pytest.raises(KeyboardInterrupt), cache._owned(tmp_path / "partial"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["memory", "partial"]


def test_runs_of_equal_pids_do_not_share_memory(memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two containers with the host's name and shared memory."""
    monkeypatch.setattr(cache, "_refusal", lambda *_: None)  # it reads samples, too
    others = list[Any]()

    def reading(index: int) -> Any:
        if index == 7 and not others:
            others.append(cache.build("ram", COUNT, read, "key", tmp_path, Ranks(), threads=1))
        return read(index)

    assert_images(cache.build("ram", COUNT, reading, "key", tmp_path, Ranks(), threads=1))
    assert_images(others[0])
    assert list(memory.iterdir()) == []


def share(ranks: Ranks, _steps: Any, folder: str) -> list[Any]:
    """Build with others; which images this rank decoded, and whether it reads them all."""
    decoded: list[int] = []

    def reading(index: int) -> Any:
        decoded.append(index)
        return read(index)

    own = Ranks(ranks.rank, ranks.world_size, ranks.rank, ranks.world_size)
    cache._refusal = lambda *_: None  # it reads samples, too
    assert_images(cache.build("disk", COUNT, reading, "key", Path(folder), own, threads=1))
    return sorted(decoded)


def test_ranks_decode_a_share_each(launch_ranks: Callable[..., list[Any]], tmp_path: Path) -> None:
    shares = launch_ranks(share, 2, str(tmp_path))
    assert shares == [list(range(0, COUNT, 2)), list(range(1, COUNT, 2))]
