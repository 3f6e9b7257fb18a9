"""Who works for a run writes into that run's folder, and into no other that has its path by now."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.run_events import lines_of

from yoloscale.config.freeze import freeze, id_in
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError
from yoloscale.runs import events, identity
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.identity import RunLost


def make(folder: Path, run_id: str | None = "aaaaaaaaaaaa") -> RunDirectory:
    folder.mkdir(parents=True)
    freeze(Config(id=run_id), folder / "config.yaml")
    return RunDirectory(folder)


def remove(run: RunDirectory) -> None:
    shutil.rmtree(run.path)


def use_again(run: RunDirectory) -> None:
    shutil.rmtree(run.path)
    make(run.path, "bbbbbbbbbbbb")


def use_again_without_id(run: RunDirectory) -> None:
    shutil.rmtree(run.path)
    make(run.path, None)


def rename(run: RunDirectory) -> None:
    run.path.rename(run.path.with_name("renamed"))


def rename_and_use_again(run: RunDirectory) -> None:
    rename(run)
    make(run.path, "bbbbbbbbbbbb")


def begin_anew(run: RunDirectory) -> None:
    """A new run whose config is not there yet."""
    shutil.rmtree(run.path)
    run.job.mkdir(parents=True)


LOSSES = (remove, use_again, use_again_without_id, rename, rename_and_use_again, begin_anew)


@pytest.mark.parametrize("lose", LOSSES)
def test_nothing_is_recorded_in_a_folder_that_is_lost(tmp_path: Path, lose: Callable[[RunDirectory], None]) -> None:
    mine = owned(make(tmp_path / "run"))
    events.append(mine, events.Setup(attempt=1, phase="first"))
    lose(mine)
    left = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunLost, match="aaaaaaaaaaaa"):
        events.append(mine, events.Setup(attempt=1, phase="second"))
    events.note(mine, events.Setup(attempt=1, phase="third"))
    events.warn(mine, "a fourth")
    assert mine.loss() is not None
    assert sorted(tmp_path.rglob("*")) == left


@pytest.mark.parametrize("lose", LOSSES[:2])
def test_a_run_of_before_there_were_ids_is_guarded_too(tmp_path: Path, lose: Callable[[RunDirectory], None]) -> None:
    mine = owned(make(tmp_path / "run", None))
    mine.check()
    lose(mine)
    with pytest.raises(RunLost, match="without an id"):
        mine.check()


def test_the_same_run_elsewhere_or_with_another_config_is_no_loss(tmp_path: Path) -> None:
    mine = owned(make(tmp_path / "run"))
    freeze(Config(id="aaaaaaaaaaaa", epochs=9), mine.config)
    mine.check()
    shutil.copytree(mine.path, tmp_path / "copy")
    copy = owned(RunDirectory(tmp_path / "copy"))
    events.append(copy, events.Setup(attempt=1, phase="data"))
    assert copy.run_id == mine.run_id
    assert lines_of(mine) == []


def test_a_file_system_that_does_not_answer_is_no_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = owned(make(tmp_path / "run"))

    def stale(*_: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "open", stale)
    mine.check()


def test_a_glance_reads_the_file_once_a_second_and_when_it_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, clock, reads = owned(make(tmp_path / "run")), [100.0], []
    monkeypatch.setattr(identity.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(identity, "id_in", lambda content: (reads.append(1), id_in(content))[1])
    for _ in range(50):
        mine.glance()
    clock[0] += identity.LOOK_S
    mine.glance()
    mine.glance()
    assert len(reads) == 2
    use_again(mine)
    with pytest.raises(RunLost):
        mine.glance()


def test_who_is_started_for_a_run_that_is_not_there_is_told(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    assert owned(run, "aaaaaaaaaaaa").run_id == "aaaaaaaaaaaa"
    with pytest.raises(RunLost, match="belongs to another run by now"):
        owned(run, "cccccccccccc")
    with pytest.raises(RunLost, match="belongs to another run by now"):
        owned(run, "")
    with pytest.raises(RunLost, match="removed or renamed"):
        owned(RunDirectory(tmp_path / "absent"), "aaaaaaaaaaaa")
    with pytest.raises(ConfigError, match="no such file"):
        owned(RunDirectory(tmp_path / "absent"))


def test_each_event_carries_the_id(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    events.append(owned(run), events.Setup(attempt=1, phase="data"))
    events.append(run, events.Cancelled())  # by somebody who only came by
    events.append(make(tmp_path / "old", None), events.Setup(attempt=1, phase="data"))
    assert [event["id"] for event in lines_of(run)] == ["aaaaaaaaaaaa"] * 2
    assert "id" not in lines_of(RunDirectory(tmp_path / "old"))[0]


@pytest.mark.parametrize("run_id", ["0123456789ab", "012345678901", "000000000000", "12345678e901", "deadbeef0000"])
def test_an_id_is_read_as_it_was_frozen(tmp_path: Path, run_id: str) -> None:
    run = make(tmp_path / "run", run_id)
    assert owned(run).run_id == run_id
    for content in (f"epochs: 1\nid: {run_id}\n", f'id: "{run_id}"\r\n', f"id: '{run_id}' # mine\nname: x"):
        assert id_in(content.encode()) == run_id
    for content in ("epochs: 1\n", "id: null\n", "id:\nname: x\n", "model:\n  id: abc\n"):
        assert id_in(content.encode()) == ""
