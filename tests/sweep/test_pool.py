"""Points side by side on one machine: launchers are small stand-ins, the pool and its signals are real."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.run_events import lines_of

from yoloscale.backends.run_lock import lock
from yoloscale.backends.status import status, statuses
from yoloscale.config.schema.sweep import SweepConfig
from yoloscale.errors import ConfigError
from yoloscale.launch.cancel import cancel
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep import launchers
from yoloscale.sweep.cancel import cancel_points
from yoloscale.sweep.freeze import change_settings
from yoloscale.sweep.grid import GridSource
from yoloscale.sweep.unfinished import unfinished

from .conftest import Frozen

STANDIN = Path(__file__).parent / "standin"
SOURCE = Path(__file__).parents[2] / "src"
LIMIT_S = 300.0


class Pool:
    """A launcher of a sweep in a process of its own."""

    def __init__(self, sweep: SweepDirectory, count: int, gpus: str, folder: Path) -> None:
        self._log = folder / f"pool-{len(list(folder.glob('pool-*')))}.log"
        path = os.pathsep.join(map(str, (STANDIN, SOURCE)))
        environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder)}
        command = [sys.executable, "-m", "standin_pool", str(sweep.path), str(count), gpus]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait(self) -> int:
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.said) from None


@pytest.fixture
def sweep(frozen: Frozen) -> Callable[..., SweepDirectory]:
    """`sweep(3, {1: {"fail": 2}}, steps=5)`: a sweep of three stand-ins, the second of which fails."""

    def make(
        count: int, scripts: dict[int, dict[str, Any]] | None = None, name: str = "s", **script: Any
    ) -> SweepDirectory:
        words = (f"name={name}", f"seed=range(0,{count})", "device=cpu", "cluster.procs_per_node=1")
        made = frozen(*words).directory
        for index, run in enumerate(made.runs()):
            told = {"steps": 10, **script, **(scripts or {}).get(index, {})}
            (run.path / "standin.json").write_text(json.dumps(told))
        return made

    return make


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Callable[..., Pool]]:
    """Start a launcher; it and its points are gone after the test."""
    started: list[Pool] = []

    def start(sweep: SweepDirectory, count: int = 2, gpus: str = "-") -> Pool:
        started.append(Pool(sweep, count, gpus, tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
    until(lambda: not processes_below(tmp_path), "no launcher outlives the test")


def processes_below(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if "standin_supervise" in process.cmdline() and any(str(folder) in word for word in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def until(is_so: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def until_training(*runs: RunDirectory, steps: int = 1) -> None:
    until(lambda: all(len(list(jsonl.read(run.trace))) >= steps for run in runs), "they train")


def states(sweep: SweepDirectory) -> list[str]:
    return [found.state for found in statuses(sweep.runs())]


def attempts(run: RunDirectory) -> int:
    return sum(record["event"] == "attempt_launched" for record in lines_of(run))


def is_trained_once(run: RunDirectory, steps: int = 10) -> bool:
    finished = [record for record in lines_of(run) if record["event"] == "finished"]
    return [record["step"] for record in jsonl.read(run.trace)] == list(range(1, steps + 1)) and len(finished) == 1


def starts(sweep: SweepDirectory) -> list[dict[str, Any]]:
    return [record for run in sweep.runs() for record in jsonl.read(run.path / "starts.jsonl")]


def most_at_once(found: list[dict[str, Any]]) -> int:
    return max(sum(other["began"] <= each["began"] < other["ended"] for other in found) for each in found)


def let_go(*sweeps: SweepDirectory) -> None:
    for run in (run for made in sweeps for run in made.runs()):
        (run.path / "go").touch()


def test_points_share_out_the_gpus_and_never_one(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]
) -> None:
    made = sweep(5, hold=True)
    launcher = pool(made, 2, "3,GPU-7")
    until_training(*made.runs()[:2])
    let_go(made)
    assert launcher.wait() == 0
    assert all(is_trained_once(run) for run in made.runs())
    found = starts(made)
    assert {start["cpus"] for start in found} == {"1"}
    assert most_at_once(found) == 2
    for name in ("3", "GPU-7"):
        own = [start for start in found if start["gpus"] == name]
        assert own, f"{name} is used"
        assert most_at_once(own) == 1, f"{name} is shared"


def test_two_sweeps_at_once_share_no_gpu(sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]) -> None:
    first, second = sweep(2, name="one", hold=True), sweep(2, name="other", hold=True)
    both = [pool(made, 1, "0") for made in (first, second)]
    until(lambda: any("taken by another sweep" in each.said for each in both), "one waits for the other")
    let_go(first, second)
    assert [each.wait() for each in both] == [0, 0]
    assert most_at_once([*starts(first), *starts(second)]) == 1


def test_the_same_sweep_typed_twice_trains_each_point_once(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]
) -> None:
    made = sweep(4, {0: {"hold": True}, 3: {"fail": 5}})
    both = [pool(made, 1), pool(made, 1)]
    until(lambda: any("another launcher has 1 point: waiting for it" in each.said for each in both), "one waits")
    let_go(made)
    assert [each.wait() for each in both] == [1, 1]
    assert states(made) == ["finished"] * 3 + ["failed"]
    assert all(is_trained_once(run) for run in made.runs()[:3])
    assert [attempts(run) for run in made.runs()] == [1] * 4, "what failed for one is not tried by the other"


def test_a_point_that_another_launcher_takes_up_just_now_is_waited_for(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]
) -> None:
    made = sweep(2)
    events.append(made.run_of(0), events.AttemptLaunched(attempt=1, host="elsewhere", pid=1, argv=[]))
    events.append(made.run_of(0), events.Exited(attempt=1, exit_code=75))
    taken = lock(made.run_of(0))
    assert states(made) == ["preempted", "pending"], "its new launcher has not said anything yet"
    started = pool(made, 1)
    until(lambda: "another launcher has 1 point: waiting for it" in started.said, "it waits")
    taken.release()
    assert started.wait() == 0
    assert states(made) == ["finished", "finished"]


def test_a_point_that_somebody_removes_meanwhile_is_left_out(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]
) -> None:
    made = sweep(3, {0: {"hold": True}})
    started = pool(made, 1)
    until_training(made.run_of(0))
    shutil.rmtree(made.run_of(1).path)
    (made.run_of(0).path / "go").touch()
    assert started.wait() == 75, "that point has not been trained"
    assert "seed=1: left out" in started.said
    assert states(made) == ["finished", "pending", "finished"]


def test_killed_by_sigkill_and_started_again(sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]) -> None:
    made = sweep(3, steps=15, save_s=1.0, step_s=0.05)
    first = pool(made, 2)
    until_training(*made.runs()[:2], steps=3)
    first.process.kill()
    first.process.wait()
    again = pool(made, 2)
    assert again.wait() == 0, again.said
    assert all(is_trained_once(run, 15) for run in made.runs())
    assert [attempts(run) for run in made.runs()] == [2, 2, 1]
    assert launchers.alive(made) == []
    assert not list(made.job.glob("launcher-*.json")), "the record of the one that was killed is gone"


@pytest.mark.parametrize(
    ("number", "code", "state"), [(signal.SIGINT, 130, "cancelled"), (signal.SIGTERM, 75, "preempted")]
)
def test_asked_to_stop_all_points_save(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool], number: int, code: int, state: str
) -> None:
    made = sweep(3, steps=1000)
    started = pool(made, 2)
    until_training(*made.runs()[:2])
    started.process.send_signal(number)
    assert started.wait() == code
    assert states(made) == [state, state, "pending"]
    assert "save a checkpoint first" in started.said


def test_failures_do_not_end_the_others_until_there_are_too_many(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]
) -> None:
    made = sweep(4, {0: {"fail": 2}, 1: {"crash": 2}}, steps=20)
    change_settings(made, SweepConfig(max_failures=2))
    given_up = pool(made, 1)
    assert given_up.wait() == 1
    assert states(made) == ["failed", "failed", "pending", "pending"]
    assert "failed points: 2 (sweep.max_failures): no other starts" in given_up.said
    assert "exited with code 3 without saying why" in str(status(made.run_of(1)).error)
    assert pool(made, 2).wait() == 1, "those that failed before are no new failures, and are not tried again"
    assert states(made) == ["failed", "failed", "finished", "finished"]
    assert [attempts(run) for run in made.runs()[:2]] == [1, 1]
    assert len(GridSource(made.runs())) == 0
    assert len(GridSource(made.runs(), failed_only=True)) == 2


def test_a_launcher_that_is_killed_is_a_failed_point(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]
) -> None:
    made = sweep(2, {0: {"steps": 1000}})
    started = pool(made, 1)
    until_training(made.run_of(0))
    os.kill(lines_of(made.run_of(0))[0]["pid"], signal.SIGKILL)
    assert started.wait() == 1
    assert states(made) == ["failed", "finished"]
    assert "its launcher was killed by SIGKILL" in str(status(made.run_of(0)).error)


def test_on_a_full_disk_no_point_is_tried_for_ever(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]
) -> None:
    made = sweep(3, crash=0)
    (made.path / "full").touch()
    started = pool(made, 1)
    assert started.wait() == 1
    assert [started.said.count(f"seed={index} started") for index in range(3)] == [1, 1, 1]
    assert "another launcher" not in started.said
    assert states(made) == ["pending"] * 3, "once there is room, they go on"


def test_points_of_a_machine_that_went_down_go_on_as_unfinished(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]
) -> None:
    made = sweep(2, {0: {"hold": True}, 1: {"fail": 2}})
    first = pool(made, 2)
    until(lambda: status(made.run_of(1)).state == "failed", "one fails")
    until_training(made.run_of(0), steps=9)
    first.process.send_signal(signal.SIGSTOP)
    os.kill(lines_of(made.run_of(0))[0]["pid"], signal.SIGKILL)
    first.process.kill()
    first.process.wait()
    until(lambda: states(made) == ["failed", "failed"], "nobody is there any more")
    assert unfinished(made) == [0]
    assert unfinished(made, failed_only=True) == [0, 1], "as their states are shown"
    let_go(made)
    assert pool(made, 2).wait() == 1
    assert states(made) == ["finished", "failed"]
    assert [attempts(run) for run in made.runs()] == [2, 1]


def test_a_launcher_on_another_machine_is_believed_while_it_gives_signs_of_life(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool]
) -> None:
    made = sweep(1, hold=True)
    elsewhere = made.job / "launcher-elsewhere-5.json"
    elsewhere.write_text(json.dumps({"host": "elsewhere", "pid": 5, "time": 1.0}))
    assert [each.host for each in launchers.alive(made)] == ["elsewhere"]
    os.utime(elsewhere, (1, 1))
    assert launchers.alive(made) == [], "its machine went down, or the sweep was copied"
    assert elsewhere.exists(), "nobody here knows for sure"
    started = pool(made, 1)
    until(lambda: launchers.alive(made), "it is on record")
    [own] = launchers.alive(made)
    os.utime(own.record, (1, 1))
    until(lambda: own.record.stat().st_mtime > 1, "it gives a sign")
    let_go(made)
    assert started.wait() == 0


def test_a_file_system_that_does_not_answer_for_a_moment_asks_nobody_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = launchers.SweepLauncher(tmp_path / "launcher-here-5.json", "here", 5, 1.0)

    def stale(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", stale)
        is_asked = launcher.is_asked_to_stop()
    assert not is_asked
    launcher.request.touch()
    assert launcher.is_asked_to_stop()


def test_a_point_that_a_search_gets_while_it_is_cancelled_is_no_error(
    sweep: Callable[..., SweepDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, of_all = sweep(3), SweepDirectory.runs
    calls: list[int] = []

    def growing(directory: SweepDirectory) -> list[RunDirectory]:
        calls.append(1)
        return of_all(directory)[: len(calls)]

    monkeypatch.setattr(SweepDirectory, "runs", growing)
    with pytest.raises(ConfigError, match="nothing of it"):
        cancel_points(made)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_point_that_a_person_cancels_has_not_failed(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool], at_once: bool
) -> None:
    made = sweep(2, {0: {"hold": True}})
    change_settings(made, SweepConfig(max_failures=1))
    started = pool(made, 1)
    until_training(made.run_of(0))
    assert cancel(made.run_of(0), at_once=at_once, timeout_s=LIMIT_S)
    assert started.wait() == 130
    assert states(made) == ["cancelled", "finished"]
    assert not any(record["event"] == "failed" for record in lines_of(made.run_of(0)))


@pytest.mark.parametrize("at_once", [False, True])
def test_cancel_stops_the_launcher_and_its_points(
    sweep: Callable[..., SweepDirectory], pool: Callable[..., Pool], at_once: bool
) -> None:
    made = sweep(3, steps=1000)
    started = pool(made, 2)
    until_training(*made.runs()[:2])
    assert [launcher.pid for launcher in launchers.alive(made)] == [started.process.pid]
    assert cancel_points(made, at_once=at_once, timeout_s=LIMIT_S) == (2, 0)
    assert started.wait() == (-signal.SIGKILL if at_once else 130)
    assert states(made) == ["cancelled", "cancelled", "pending"]
    with pytest.raises(ConfigError, match="nothing of it"):
        cancel_points(made)
