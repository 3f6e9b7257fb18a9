"""The history of a run on a file system that many machines share: every line is there, in an order that makes sense."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from tests.counted_files import counted
from tests.nfs_client import NfsClient
from tests.run_events import write_event

from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import files as event_files
from yoloscale.runs.events.files import RECENT, ROTATED, EventTail
from yoloscale.runs.jobs import run_of
from yoloscale.runs.status import read_progress

LINES = 20


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


def write(run: RunDirectory, name: str, *lines: dict[str, Any]) -> None:
    """Lines of another process, `name` being its file's."""
    run.events.mkdir(exist_ok=True, parents=True)
    with (run.events / f"{name}.jsonl").open("a") as file:
        file.writelines(json.dumps({"event": "warning", **line}) + "\n" for line in lines)


def messages(found: list[events.Event]) -> list[str]:
    return [str(event.record["message"]) for event in found]


def _machine(folder: Path, name: str, pid: int | None, at_once: Barrier, *, one_for_all: bool) -> None:
    """One of two machines, which write their lines at the same moments."""
    run = RunDirectory(folder)
    socket.gethostname = lambda: "node"  # type: ignore[assignment]
    if pid is not None:
        os.getpid = lambda: pid  # type: ignore[assignment]
    NfsClient(at_once.wait)
    for number in range(LINES):
        record = events.line(run, events.Warned(message=f"{name}{number}"))
        if one_for_all:
            jsonl.append(run.old_events, record)
        else:
            event_files.append(run, record)


def written_by_two(run: RunDirectory, *, pid: int | None = None, one_for_all: bool = False) -> list[dict[str, Any]]:
    spawn = multiprocessing.get_context("spawn")
    at_once = spawn.Barrier(2, timeout=300)
    machines = [
        spawn.Process(target=_machine, args=(run.path, name, pid, at_once), kwargs={"one_for_all": one_for_all})
        for name in "ab"
    ]
    for machine in machines:
        machine.start()
    for machine in machines:
        machine.join()
        assert machine.exitcode == 0
    return events.history(run)


def test_two_machines_that_append_to_one_file_lose_lines_on_nfs(run: RunDirectory) -> None:
    assert len(written_by_two(run, one_for_all=True)) < 2 * LINES


@pytest.mark.parametrize("pid", [None, 1])
def test_two_machines_lose_no_line_also_with_the_same_host_name_and_pid(run: RunDirectory, pid: int | None) -> None:
    found = messages(written_by_two(run, pid=pid))
    for name in "ab":
        assert [each for each in found if each.startswith(name)] == [f"{name}{number}" for number in range(LINES)]
    if pid is not None:
        assert sorted(path.name for path in run.events.iterdir()) == ["node-1-2.jsonl", "node-1.jsonl"]


def test_a_forked_process_writes_a_file_of_its_own(run: RunDirectory) -> None:
    events.note(run, events.Warned(message="parent"))
    if (child := os.fork()) == 0:
        events.note(run, events.Warned(message="child"))
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(run.events.iterdir())) == 2
    assert messages(events.history(run)) == ["parent", "child"]


def test_the_same_name_in_another_working_folder_is_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("here", "there"):
        (tmp_path / place / "run").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / place)
        events.append(RunDirectory(Path("run")), events.Warned(message=place))
        assert messages(events.history(RunDirectory(tmp_path / place / "run"))) == [place]


def test_an_odd_host_name_is_made_safe(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "../it's $(touch x)\n" + "x" * 300)
    events.append(run, events.Warned(message="here"))
    (file,) = run.events.iterdir()
    assert file.name.startswith("it-s-touch-x-xxx")
    assert len(file.name) < 130
    assert messages(events.history(run)) == ["here"]


def test_events_of_several_processes_are_merged_by_time_and_then_by_file(run: RunDirectory) -> None:
    write(run, "b-1", {"time": 1, "message": "1b"}, {"time": 3, "message": "3b"})
    write(run, "a-1", {"time": 2, "message": "2a"}, {"time": 3, "message": "3a"}, {"time": 3, "message": "3a again"})
    assert messages(events.history(run)) == ["1b", "2a", "3a", "3a again", "3b"]


def test_a_clock_that_steps_back_does_not_reorder_what_its_process_wrote(run: RunDirectory) -> None:
    write(run, "a-1", {"time": 10, "message": "1"}, {"time": 5, "message": "2"}, {"time": 12, "message": "3"})
    write(run, "b-1", {"time": 9, "message": "0"}, {"time": 11, "message": "2.5"})
    assert messages(events.history(run)) == ["0", "1", "2", "2.5", "3"]


def test_what_follows_from_something_comes_after_it_whatever_the_clocks_say(run: RunDirectory) -> None:
    ahead = 4e9
    write(run, "node0-1", {"time": ahead, "message": "cause"})
    assert messages(events.history(run)) == ["cause"]
    events.append(run, events.Warned(message="effect"))  # by a clock that lags behind
    assert messages(events.history(run)) == ["cause", "effect"]
    assert events.history(run)[-1].time < ahead  # which stays what the clock said


def test_the_state_of_a_run_follows_from_that_order_too(run: RunDirectory) -> None:
    write(run, "a-1", {"event": "exited", "time": 201.0, "attempt": 1, "exit_code": 75})
    launched = {"event": "attempt_launched", "time": 195.0, "after": 201.001, "attempt": 2, "host": "b", "pid": 7}
    write(run, "b-1", launched)
    progress = read_progress(run)
    assert (progress.attempt, progress.exited) == (2, None)


def test_a_started_process_knows_what_came_before_it(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    write(run, "node0-1", {"time": 4e9, "message": "cause"})
    events.history(run)
    for name, value in event_files.handed_on(run).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(event_files, "_newest", {})
    events.append(run, events.Warned(message="effect"))
    assert messages(events.history(run)) == ["cause", "effect"]


def test_an_older_run_is_read_also_after_it_went_on(run: RunDirectory) -> None:
    jsonl.append(run.old_events, {"event": "submitted", "time": 1.0, "job": "41", "message": "old"})
    assert messages(events.history(run)) == ["old"]
    assert event_files.exist(run)
    assert run_of("41", [run]) == run
    write_event(run, "submitted", job="42", message="new")
    assert messages(events.history(run)) == ["old", "new"]
    assert run_of("42", [run]) == run
    assert len(run.old_events.read_bytes().splitlines()) == 1


def test_a_torn_line_waits_and_is_then_given_once(run: RunDirectory) -> None:
    tail = EventTail(run)
    assert tail.new() == []
    run.events.mkdir()
    file = run.events / "a-1.jsonl"
    file.write_text('{"event":"warning","message":"1"}\n{"event":"warn')
    assert messages(tail.new()) == ["1"]
    assert tail.new() == []
    with file.open("a") as stream:
        stream.write('ing","message":"2"}\n')
    assert messages(tail.new()) == ["2"]
    assert messages(tail.history()) == ["1", "2"]


def test_late_lines_are_put_where_they_belong(run: RunDirectory) -> None:
    tail = EventTail(run)
    write(run, "a-1", {"time": 2, "message": "2"})
    assert messages(tail.new()) == ["2"]
    write(run, "b-1", {"time": 1, "message": "1"})
    assert messages(tail.new()) == ["1"]
    assert messages(tail.history()) == ["1", "2"]


def test_a_run_whose_folder_is_gone_is_not_made_again(run: RunDirectory) -> None:
    events.append(run, events.Warned(message="here"))
    moved = RunDirectory(run.path.parent / f"{run.path.name}-moved")
    run.path.rename(moved.path)
    with pytest.raises(FileNotFoundError):
        events.append(run, events.Warned(message="nowhere"))
    run.events.mkdir(parents=True)  # of another run, which got the name
    with pytest.raises(FileNotFoundError):
        events.append(run, events.Warned(message="in another run"))
    assert messages(events.history(moved)) == ["here"]
    assert events.history(run) == []
    tail = EventTail(moved)
    assert messages(tail.history()) == ["here"]
    shutil.rmtree(moved.path)
    write(moved, "node-9", {"time": 5, "message": "another run"})
    assert messages(tail.history()) == ["another run"]
    event_files.begin(run)  # this process makes it itself
    events.append(run, events.Warned(message="anew"))
    assert messages(events.history(run)) == ["anew"]


def test_a_look_costs_the_same_with_hundreds_of_files(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    for node in range(300):
        write(run, f"node{node}-7", {"time": node, "message": f"{node}"})
    tail = EventTail(run)
    assert len(tail.new()) == 300
    write(run, "node3-7", {"time": 1000, "message": "late"})
    write(run, "node301-7", {"time": 1001, "message": "fresh"})
    found: list[str] = []
    with counted(monkeypatch) as count:
        found += messages(tail.new())
        assert "fresh" in found  # at once
        assert count["list"] == 1
        assert count["open"] <= RECENT + 2
        assert count["stat"] <= ROTATED + 1
        for _ in range(300 // ROTATED + 1):
            found += messages(tail.new())
    assert sorted(found) == ["fresh", "late"]


def test_a_size_that_is_old_delays_a_line_and_loses_none(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"node{node}-7" for node in range(2 * RECENT)]
    for at, name in enumerate(names):
        write(run, name, {"time": at, "message": f"{name} 1"})
    tail = EventTail(run)
    tail.new()
    stale = {run.events / f"{name}.jsonl": (run.events / f"{name}.jsonl").stat().st_size for name in names}
    for name in names:
        write(run, name, {"time": 100, "message": f"{name} 2"})
    with counted(monkeypatch, stale):
        first = messages(tail.new())
        assert sorted(first) == sorted(f"{name} 2" for name in names[RECENT:])  # opened, and so told of at once
        stale.clear()  # the client has asked again
        rest = messages(tail.new())
        assert sorted(rest) == sorted(f"{name} 2" for name in names[:RECENT])
        assert tail.new() == []
    assert len(tail.history()) == 4 * RECENT
