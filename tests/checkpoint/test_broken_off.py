"""Checkpoints are complete or absent: whoever is killed or runs out of disk amid one leaves those before it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.checkpoint.states import folder_of, kept_steps, newest_step, state

from yoloscale.checkpoint import store
from yoloscale.checkpoint.store import CheckpointStore, Retention


def test_what_a_killed_writer_left_is_never_read_and_goes_with_the_next_save(
    checkpoints: CheckpointStore, tmp_path: Path
) -> None:
    left = tmp_path / "checkpoints" / ".writing-step-000000004"
    shutil.copytree(folder_of(tmp_path, 3), left)
    assert newest_step(checkpoints) == 3
    checkpoints.save(state(4), {"step": 4})
    assert not left.exists()
    assert newest_step(checkpoints) == 4


def test_every_file_is_synced_before_the_folder_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_sync, real_rename = store.sync, os.rename
    monkeypatch.setattr(store, "sync", lambda path: (order.append(f"sync {path.name[:23]}"), real_sync(path)))
    monkeypatch.setattr(os, "rename", lambda a, b: (order.append(f"rename to {Path(b).name}"), real_rename(a, b)))
    CheckpointStore(tmp_path / "c", Retention()).save(state(1), {"step": 1})
    renamed = order.index("rename to step-000000001")
    assert {"sync state.pt", "sync manifest.json", "sync .writing-step-000000001"} <= set(order[:renamed])
    assert order[renamed + 1 :] == ["sync c"], "the new name itself must survive a power cut"


@pytest.fixture
def small_disk(tmp_path: Path, mount_disk: Callable[..., Path]) -> Path:
    """A file system of one megabyte."""
    return mount_disk(tmp_path / "small", "1m")


def test_a_full_disk_leaves_the_checkpoints_that_were_there(small_disk: Path) -> None:
    made = CheckpointStore(small_disk / "checkpoints", Retention(2))
    made.save(state(1, size=100_000), {"step": 1})
    with pytest.raises(OSError, match="the disk may be full"):
        made.save(state(2, size=200_000), {"step": 2})
    assert [path.name for path in (small_disk / "checkpoints").iterdir()] == ["step-000000001"]
    assert newest_step(made) == 1
    made.save(state(3, size=100_000), {"step": 3})
    assert newest_step(made) == 3


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_an_error_of_the_disk_leaves_nothing(
    checkpoints: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(OSError, match="No space left"):
            checkpoints.save(state(4), {"step": 4})
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000000002", "step-000000003"]
    assert newest_step(checkpoints) == 3


def test_killed_while_the_same_step_is_replaced(
    tmp_path: Path, checkpoints: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two renames the old one is still found, under its other name."""
    rename = Path.rename

    def rename_then_die(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if target.name.startswith("replaced-"):
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", rename_then_die)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(state(7), {"step": 3})
    monkeypatch.undo()
    stored, complaints = checkpoints.newest()
    assert stored is not None
    assert (stored.step, complaints) == (3, [])
    checkpoints.save(state(8), {"step": 3})
    assert kept_steps(checkpoints) == [2, 3]
    assert not list(tmp_path.rglob("replaced-*"))


def test_killed_before_any_file_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on disk at each of them is copied: a process killed there leaves just that behind."""
    folder, moments = tmp_path / "checkpoints", list[tuple[int, Path]]()
    made, done = CheckpointStore(folder, Retention(2, each_steps=3)), 0
    copytree, busy = shutil.copytree, False

    def before(operation: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **keywords: Any) -> Any:
            nonlocal busy
            if done and not busy:
                busy = True
                moments.append((done, copytree(folder, tmp_path / f"moment-{len(moments)}")))
                busy = False
            return operation(*arguments, **keywords)

        return watched

    for name in ("rename", "mkdir", "unlink", "rmdir", "fsync"):
        monkeypatch.setattr(os, name, before(getattr(os, name)))
    monkeypatch.setattr(torch, "save", before(torch.save))
    for step, best in ((1, True), (2, False), (3, False), (4, True), (4, False), (5, False), (6, False)):
        made.save(state(step, size=10), {"step": step}, best=best)
        done = step
    monkeypatch.undo()
    assert len(moments) > 50
    for newest, left in moments:
        stored, _ = CheckpointStore(left, Retention()).newest()
        assert stored is not None
        assert stored.step in (newest, newest + 1), left


def test_a_removal_that_was_broken_off_leaves_nothing_to_read(checkpoints: CheckpointStore, tmp_path: Path) -> None:
    left = tmp_path / "checkpoints" / ".removing-step-000000009"
    left.mkdir()
    (left / "state.pt").write_bytes(b"half")
    assert newest_step(checkpoints) == 3
    checkpoints.save(state(4), {"step": 4})
    assert not left.exists()


def test_what_cannot_be_removed_stops_no_save(
    checkpoints: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS keeps a folder as long as somebody has one of its files open."""
    left = tmp_path / "checkpoints" / ".writing-step-000000004"
    left.mkdir()
    (left / ".nfs0001").write_text("open elsewhere")
    rmdir = os.rmdir

    def refuse(path: Any, **keywords: Any) -> None:
        if str(path).endswith(("000002", "000004")):
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        rmdir(path, **keywords)

    monkeypatch.setattr(os, "rmdir", refuse)
    for step in (4, 5, 6):
        checkpoints.save(state(step), {"step": step})
        assert newest_step(checkpoints) == step
    monkeypatch.undo()
    checkpoints.save(state(7), {"step": 7})
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000000006", "step-000000007"]
