"""Checkpoints are complete or absent: whatever happens to the files, a reader gets a whole one or none."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from yoloscale.checkpoint import store
from yoloscale.checkpoint.store import CheckpointStore, Retention, Stored, load, read


def state(step: int, size: int = 1000) -> dict[str, Any]:
    return {"step": step, "tensor": torch.full((size,), float(step)), "nested": {"list": [1, 2.5, None, "text"]}}


@pytest.fixture
def checkpoints(tmp_path: Path) -> CheckpointStore:
    """Three steps saved, two kept."""
    made = CheckpointStore(tmp_path / "checkpoints", Retention(2))
    for step in (1, 2, 3):
        made.save(state(step), {"step": step, "epoch": 0})
    return made


def folder_of(tmp_path: Path, step: int) -> Path:
    return tmp_path / "checkpoints" / f"step-{step:09d}"


def newest_step(checkpoints: CheckpointStore) -> int | None:
    stored, _ = checkpoints.newest()
    return stored.step if stored else None


def test_what_is_saved_is_loaded(checkpoints: CheckpointStore) -> None:
    stored, complaints = checkpoints.newest()
    assert stored is not None
    assert complaints == []
    assert stored.manifest["epoch"] == 0
    loaded = load(stored)
    assert torch.equal(loaded.pop("tensor"), torch.full((1000,), 3.0))
    assert loaded == {"step": 3, "nested": {"list": [1, 2.5, None, "text"]}}


def test_the_manifest_states_size_and_digest(checkpoints: CheckpointStore, tmp_path: Path) -> None:
    manifest = json.loads((folder_of(tmp_path, 3) / "manifest.json").read_text())
    said = manifest["files"]["state.pt"]
    sums = subprocess.run(
        ["sha256sum", folder_of(tmp_path, 3) / "state.pt"], capture_output=True, check=True, text=True
    )
    assert said["sha256"] == sums.stdout.split()[0]
    assert said["bytes"] == (folder_of(tmp_path, 3) / "state.pt").stat().st_size


@pytest.mark.parametrize(("keep", "left"), [(-1, 2), (0, 2), (1, 2), (2, 2), (3, 3)])
def test_at_least_two_are_kept(tmp_path: Path, keep: int, left: int) -> None:
    made = CheckpointStore(tmp_path, Retention(keep))
    for step in range(1, 6):
        made.save(state(step), {"step": step})
    assert [path.name for path in made.candidates()] == [f"step-{step:09d}" for step in (5, 4, 3)][:left]


def truncate_state(folder: Path) -> None:
    os.truncate(folder / "state.pt", (folder / "state.pt").stat().st_size - 1)


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "state.pt").write_bytes(content)


def zero_manifest(folder: Path) -> None:
    """What a power cut leaves of a file whose blocks were not written."""
    (folder / "manifest.json").write_bytes(bytes((folder / "manifest.json").stat().st_size))


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (truncate_state, "its manifest says"),
    (flip_a_bit, "sha256"),
    (lambda folder: (folder / "state.pt").unlink(), "state.pt"),
    (lambda folder: (folder / "manifest.json").unlink(), "manifest.json"),
    (lambda folder: (folder / "manifest.json").write_text(""), "Expecting value"),
    (lambda folder: (folder / "manifest.json").write_text("{}"), "files"),
    (lambda folder: (folder / "manifest.json").write_text("null"), "subscriptable"),
    (lambda folder: os.truncate(folder / "manifest.json", 40), ""),
    (zero_manifest, ""),
]


@pytest.mark.parametrize(("damage", "why"), DAMAGES)
def test_a_broken_newest_one_is_passed_over_and_kept_aside(
    checkpoints: CheckpointStore, tmp_path: Path, damage: Callable[[Path], object], why: str
) -> None:
    damage(folder_of(tmp_path, 3))
    stored, complaints = checkpoints.newest()
    assert stored is not None
    assert stored.step == 2
    assert len(complaints) == 1
    assert "step-000000003 is broken and was passed over" in complaints[0]
    assert why in complaints[0]
    assert folder_of(tmp_path, 3).exists(), "looking changes nothing"
    checkpoints.set_aside_newer_than(stored)
    assert not folder_of(tmp_path, 3).exists()
    assert (tmp_path / "checkpoints" / "broken-step-000000003").is_dir()
    checkpoints.save(state(3), {"step": 3})
    assert newest_step(checkpoints) == 3


def test_all_broken_is_none(checkpoints: CheckpointStore, tmp_path: Path) -> None:
    truncate_state(folder_of(tmp_path, 2))
    flip_a_bit(folder_of(tmp_path, 3))
    stored, complaints = checkpoints.newest()
    assert stored is None
    assert len(complaints) == 2
    checkpoints.set_aside_newer_than(None)
    assert checkpoints.candidates() == []


def test_no_folder_at_all(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "absent", Retention()).newest() == (None, [])


def test_what_a_killed_writer_left_is_never_read_and_goes_with_the_next_save(
    checkpoints: CheckpointStore, tmp_path: Path
) -> None:
    left = tmp_path / "checkpoints" / ".writing-step-000000004"
    shutil.copytree(folder_of(tmp_path, 3), left)
    assert newest_step(checkpoints) == 3
    checkpoints.save(state(4), {"step": 4})
    assert not left.exists()
    assert newest_step(checkpoints) == 4


def test_the_same_step_again_replaces_the_old_one(checkpoints: CheckpointStore) -> None:
    checkpoints.save(state(7), {"step": 3, "epoch": 5})
    stored, _ = checkpoints.newest()
    assert stored is not None
    assert (stored.step, stored.manifest["epoch"]) == (3, 5)
    assert load(stored)["step"] == 7


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


class Surprise:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch surprise",))


def test_reading_a_state_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"step": Surprise()}, tmp_path / "state.pt")
    with pytest.raises(pickle.UnpicklingError):
        load(Stored(tmp_path, {}, io.BytesIO((tmp_path / "state.pt").read_bytes())))
    assert not (tmp_path / "surprise").exists()


def test_reading_says_what_differs(checkpoints: CheckpointStore, tmp_path: Path) -> None:
    assert read(folder_of(tmp_path, 3)).step == 3
    truncate_state(folder_of(tmp_path, 3))
    with pytest.raises(ValueError, match=r"state\.pt has \d+ bytes, its manifest says \d+"):
        read(folder_of(tmp_path, 3))


def kept_steps(made: CheckpointStore) -> list[int]:
    return sorted(int(path.name.rsplit("-", 1)[1]) for path in made.candidates())


def test_the_first_of_every_so_many_steps_stays(tmp_path: Path) -> None:
    made = CheckpointStore(tmp_path, Retention(2, each_steps=10, best=False))
    for step in (3, 8, 11, 14, 19, 30, 33, 37, 38, 39):
        made.save(state(step), {"step": step})
    assert kept_steps(made) == [11, 30, 38, 39]


def test_the_best_one_stays_until_there_is_a_better_one(tmp_path: Path) -> None:
    made = CheckpointStore(tmp_path, Retention(2))
    for step in range(1, 8):
        made.save(state(step), {"step": step}, best=step in (1, 3))
    assert kept_steps(made) == [3, 6, 7]


def test_what_is_not_complete_does_not_count(tmp_path: Path) -> None:
    made = CheckpointStore(tmp_path, Retention(2))
    for step in (1, 2):
        made.save(state(step), {"step": step})
    truncate_state(made.candidates()[0])
    made.save(state(3), {"step": 3})
    assert kept_steps(made) == [1, 2, 3], "two complete ones, and a broken one among them"
    made.save(state(4), {"step": 4})
    assert kept_steps(made) == [3, 4]


def test_the_same_step_again_replaces_it(checkpoints: CheckpointStore) -> None:
    checkpoints.save(state(7), {"step": 3})
    assert kept_steps(checkpoints) == [2, 3]
    stored, _ = checkpoints.newest()
    assert stored is not None
    assert float(load(stored)["tensor"][0]) == 7.0


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


def test_other_folders_are_left_alone(checkpoints: CheckpointStore, tmp_path: Path) -> None:
    other = tmp_path / "checkpoints" / "step-000000002 (copy)"
    other.mkdir()
    for step in (4, 5, 6):
        checkpoints.save(state(step), {"step": step})
    assert other.exists()
    assert newest_step(checkpoints) == 6


def test_a_checkpoint_of_another_run_is_passed_over_and_kept_aside(tmp_path: Path) -> None:
    mine, other = (CheckpointStore(tmp_path, Retention(2), run_id=name) for name in ("mine", "other"))
    mine.save(state(4), {"step": 4})
    other.save(state(100), {"step": 100})
    assert newest_step(mine) == 4
    (told,) = mine.set_aside_others()
    assert "step-000000100 is of another run (other)" in told
    assert read(tmp_path / "other-other-step-000000100").manifest["id"] == "other"
    assert mine.set_aside_others() == []
    assert newest_step(mine) == 4


@pytest.mark.parametrize(("mine", "other"), [("mine", ""), ("", "other")])
def test_one_without_an_id_is_of_a_run_without_one(tmp_path: Path, mine: str, other: str) -> None:
    made = CheckpointStore(tmp_path, Retention(2), run_id=mine)
    CheckpointStore(tmp_path, Retention(2), run_id=other).save(state(9), {"step": 9})
    assert made.newest() == (None, [])
    made.save(state(3), {"step": 3})
    assert newest_step(made) == 3


def test_checkpoints_of_another_run_are_neither_replaced_nor_retired(tmp_path: Path) -> None:
    mine, other = (CheckpointStore(tmp_path, Retention(2), run_id=name) for name in ("mine", "other"))
    for step in (1, 3):
        other.save(state(step), {"step": step})
    for step in (2, 3, 4, 5):
        mine.save(state(step, size=10), {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other-other-step-000000003",
        "step-000000001",
        "step-000000004",
        "step-000000005",
    ]
    assert read(tmp_path / "step-000000001").manifest["id"] == "other"


def test_a_run_that_is_lost_while_it_saves_leaves_nothing(tmp_path: Path) -> None:
    """Neither where its folder was, nor in what another run of that name is writing at this moment."""
    folder, looks = tmp_path / "run" / "checkpoints", list[int]()
    theirs = folder / ".writing-step-000000001.theirs"

    def check() -> None:
        looks.append(1)
        if len(looks) == 2:  # after all is written, before it is renamed
            shutil.rmtree(folder)
            theirs.mkdir(parents=True)
            raise OSError("another run's")

    folder.parent.mkdir()
    with pytest.raises(OSError, match="another run's"):
        CheckpointStore(folder, Retention(2), run_id="mine", check=check).save(state(1), {"step": 1})
    assert list(folder.iterdir()) == [theirs]


def test_the_folder_of_a_run_that_was_removed_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        CheckpointStore(tmp_path / "run" / "checkpoints", Retention(2)).save(state(1), {"step": 1})
    assert list(tmp_path.iterdir()) == []
