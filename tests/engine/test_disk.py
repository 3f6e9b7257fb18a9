"""Disks that fill up or turn read-only under a run: it goes on, says so, and keeps the last good checkpoint."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.run_events import lines_of

from yoloscale.checkpoint.interval import When
from yoloscale.engine.loop import Outcome

ToyRuns = Callable[..., Any]
EACH_STEP = When(every_steps=1)


@pytest.fixture
def disk(tmp_path: Path, mount_disk: Callable[..., Path]) -> Path:
    """A small file system where the toy run `run` keeps all it has."""
    return mount_disk(tmp_path / "run", "512k")


@pytest.fixture
def whole(toy_run: ToyRuns) -> Any:
    run = toy_run("whole", when=EACH_STEP)
    run.run()
    return run


def assert_same_state(run: Any, other: Any) -> None:
    mine, theirs = run.state(), other.state()
    assert not [name for name, value in mine.items() if not torch.equal(value, theirs[name])]


def warnings(run: Any) -> list[str]:
    return [event["message"] for event in lines_of(run.directory) if event["event"] == "warning"]


def fill(disk: Path) -> None:
    """Take what is left, down to the last block."""
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                continue
        except OSError:
            return


@pytest.mark.long
def test_a_disk_that_is_full_for_a_while(toy_run: ToyRuns, disk: Path, whole: Any, capfd: Any) -> None:
    seen = {}

    def at(run: Any, steps: int) -> None:
        if steps == 4:
            run.loop._checkpointer.close()
            fill(disk)
        if steps == 7 and not seen:
            run.loop._checkpointer.close()
            stored, complaints = run.loop._checkpointer._store.newest()
            seen["while full"] = (stored.step, complaints, sorted(p.name for p in run.directory.checkpoints.iterdir()))
            (disk / "filler").unlink()

    run = toy_run("run", when=EACH_STEP, stop_before=at)
    assert run.run() is Outcome.finished
    assert_same_state(run, whole)
    step, complaints, left = seen["while full"]
    assert (step, complaints) == (4, [])
    assert left == ["step-000000003", "step-000000004"], "nothing half written stays"
    assert "checkpoint of step 5 not saved" in capfd.readouterr().out
    assert run.loop._checkpointer._store.newest()[0].step == 9


def test_killed_while_the_disk_is_full(toy_run: ToyRuns, disk: Path, whole: Any) -> None:
    def at(run: Any, steps: int) -> None:
        if steps == 4:
            run.loop._checkpointer.close()
            fill(disk)
        if steps == 6:
            raise KeyboardInterrupt  # as a kill: nothing is rescued

    run = toy_run("run", when=EACH_STEP, stop_before=at)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    run.loop._checkpointer.close()
    (disk / "filler").unlink()
    resumed = toy_run("run", when=EACH_STEP)
    assert resumed.loop.progress.position.total == 4
    resumed.run()
    assert_same_state(resumed, whole)


def test_a_disk_that_turns_read_only(toy_run: ToyRuns, disk: Path, whole: Any, capfd: Any) -> None:
    """As Linux does after an error of the device."""

    def at(run: Any, steps: int) -> None:
        if steps in (4, 7):
            run.loop._checkpointer.close()
            mode = "ro" if steps == 4 else "rw"
            subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)

    run = toy_run("run", when=EACH_STEP, stop_before=at)
    assert run.run() is Outcome.finished
    assert_same_state(run, whole)
    assert "Read-only file system" in capfd.readouterr().out
    assert run.loop._checkpointer._store.newest()[0].step == 9


@pytest.mark.long
def test_a_checkpoint_folder_that_is_a_disk_of_its_own(
    toy_run: ToyRuns, tmp_path: Path, whole: Any, mount_disk: Callable[..., Path]
) -> None:
    """It never has room for one: every failure is on record, no step is lost by it."""
    mount_disk(tmp_path / "run" / "checkpoints", "8k")
    run = toy_run("run", when=When(every_steps=4))
    assert run.run() is Outcome.finished
    assert_same_state(run, whole)
    assert [message.split(" not saved")[0] for message in warnings(run)] == [
        f"checkpoint of step {step}" for step in (3, 4, 6, 8, 9)
    ]
