"""A launcher whose run's folder is another one's by now."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.backends.run_lock import lock
from yoloscale.config.freeze import freeze, load
from yoloscale.config.schema import Config
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.runs.directory import owned
from yoloscale.runs.identity import RunLost


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_run_gets_an_id_of_its_own_and_keeps_it(config: Callable[..., Config]) -> None:
    one, other = create_or_resume(config("one"), []), create_or_resume(config("other"), [])
    ids = [load(taken.run.config).id for taken in (one, other)]
    assert None not in ids
    assert ids[0] != ids[1]
    assert [taken.run.run_id for taken in (one, other)] == ids
    assert one.run.lock.read_text() == f"{ids[0]}\n"
    one.release()
    again = create_or_resume(config("one"), [])
    assert load(again.run.config).id == ids[0]
    again.release()
    moved = create_or_resume(config("one", procs_per_node=1), [])
    assert moved.run.run_id == load(moved.run.config).id == ids[0]


def test_a_run_of_before_there_were_ids_goes_on_without_one(config: Callable[..., Config]) -> None:
    taken = create_or_resume(config("old", procs_per_node=1), [])
    frozen = load(taken.run.config)
    frozen.id = None
    freeze(frozen, taken.run.config)
    assert "id:" not in taken.run.config.read_text().splitlines()[0:3]
    taken.release()
    again = create_or_resume(config("old"), [])
    assert load(again.run.config).id is None
    assert again.run.owner is not None
    again.run.check()
    assert "id" not in lines_of(again.run)[-1]


def test_who_is_to_have_the_lock_of_a_run_that_is_gone_makes_no_file(config: Callable[..., Config]) -> None:
    taken = create_or_resume(config("run"), [])
    taken.release()
    mine = owned(taken.run)
    shutil.rmtree(mine.path)
    with pytest.raises(RunLost, match="was removed or renamed"):
        lock(mine)
    create_or_resume(config("run"), []).release()
    before = contents(mine.path)
    with pytest.raises(RunLost, match="belongs to another run by now"):
        lock(mine)
    assert contents(mine.path) == before


@pytest.mark.parametrize("is_used_again", [True, False])
def test_a_launcher_ends_its_ranks_and_writes_nothing_more(
    launch: Any, left_over: Any, config: Callable[..., Config], is_used_again: bool
) -> None:
    """And does not start them again, as it does with ranks that are killed."""
    launched = launch("run", steps=5000, save_every=1)
    launched.until("checkpoint_saved")
    folder = launched.run.path
    folder.rename(folder.with_name("renamed"))
    if is_used_again:
        create_or_resume(config("run", procs_per_node=1), []).release()
    before = contents(folder)
    exit_code, output = launched.wait()
    assert exit_code == 1
    said = [line for line in output.splitlines() if line.startswith("yoloscale: the folder ")]
    assert len(said) == 1
    assert ("belongs to another run by now" if is_used_again else "was removed or renamed") in said[0]
    assert "Traceback" not in output
    assert contents(folder) == before
    assert folder.exists() == is_used_again
    assert not [process for process in left_over() if process.is_running()]
