"""Checkpoints are verified when they are read, and the newest ones and the best stay."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.checkpoint.states import folder_of, kept_steps, newest_step, state, truncate_state

from yoloscale.checkpoint.store import CheckpointStore, Retention, Stored, load, read


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


def test_the_same_step_again_replaces_the_old_one(checkpoints: CheckpointStore) -> None:
    checkpoints.save(state(7), {"step": 3, "epoch": 5})
    stored, _ = checkpoints.newest()
    assert stored is not None
    assert (stored.step, stored.manifest["epoch"]) == (3, 5)
    assert load(stored)["step"] == 7


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


def test_other_folders_are_left_alone(checkpoints: CheckpointStore, tmp_path: Path) -> None:
    other = tmp_path / "checkpoints" / "step-000000002 (copy)"
    other.mkdir()
    for step in (4, 5, 6):
        checkpoints.save(state(step), {"step": step})
    assert other.exists()
    assert newest_step(checkpoints) == 6
