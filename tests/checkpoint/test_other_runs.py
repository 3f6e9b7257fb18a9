"""Checkpoints of another run in the folder do not count, and none is written into a folder that was lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.checkpoint.states import newest_step, state

from yoloscale.checkpoint.store import CheckpointStore, Retention, read


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
