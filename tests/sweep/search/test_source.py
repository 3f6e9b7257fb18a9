from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.run_events import lines_of, write_event
from tests.searches import ready

from yoloscale.backends.status import status
from yoloscale.config.freeze import load
from yoloscale.errors import ConfigError
from yoloscale.runs import events, jsonl
from yoloscale.runs.jobs import nobody
from yoloscale.runs.status import LOST
from yoloscale.runs.sweep_directory import SweepDirectory, read
from yoloscale.study import study as studies
from yoloscale.sweep import configure, local
from yoloscale.sweep.search import ready as ready_module
from yoloscale.sweep.search import search as search_module
from yoloscale.sweep.search import source as source_module
from yoloscale.sweep.search.ready import plan_search
from yoloscale.sweep.search.search import Search, ask_point, open_search, reconcile
from yoloscale.sweep.search.source import SearchSource
from yoloscale.system.machine import Machine

TYPED = ["-m", "name=s", "sweep=tpe", "sweep.search.trials=12", "sweep.search.startup_trials=4", "device=cpu"]
SPACE = ["lr0=tag(log,interval(1e-4,1e-1))", "optimizer=SGD,AdamW", "model=yolo26n.yaml"]
WORKER = Path(__file__).with_name("search_worker.py")

Make = Callable[..., Search]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Make:
    """`make("lr0=…")`: a search of these words, or the search of that name, joined."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLOSCALE_CACHE", str(cache))
    images = ["data.shapes.train_images=4", "data.shapes.val_images=4", "data.shapes.image_size=64"]

    def made(*tokens: str) -> Search:
        return ready(plan_search([*TYPED, *images, *(tokens or SPACE)]), print)

    return made


def launch(sweep: SweepDirectory) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(map(str, (WORKER.parents[3], WORKER.parents[3] / "src")))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return subprocess.Popen([sys.executable, str(WORKER), str(sweep.path)], env=environment)


@pytest.mark.long
def test_launchers_at_once_make_every_point_once_and_one_that_is_killed_costs_none(make: Make) -> None:
    sweep = make().sweep
    first, second = launch(sweep), launch(sweep)
    while not len(read(sweep).points):
        assert second.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    third = launch(sweep)
    assert [second.wait(300), third.wait(300)] == [0, 0]
    trials = [trial for trial in studies.load(sweep.journal).trials if trial.user_attrs.get("point")]
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert {trial.user_attrs["point"] for trial in done} == {f"trial-{index:03d}" for index in range(12)}
    assert len(done) == 12
    assert len(trials) <= 13  # at most the one that the killed launcher had not put on record
    points = read(sweep).points
    assert [point.name for point in points] == [f"trial-{index:03d}" for index in range(12)]
    assert len({point.overrides for point in points}) == 12
    starts = [event["event"] for run in sweep.runs() for event in lines_of(run)]
    assert 12 <= starts.count("training_started") <= 13  # the killed launcher may have been at one
    by_name = {trial.user_attrs["point"]: trial for trial in done}
    for point, run in zip(points, sweep.runs(), strict=True):
        config = load(run.config)
        assert config.trial is not None
        assert (run.path / config.trial.study).resolve() == sweep.journal
        assert config.lr0 == by_name[point.name].params["lr0"]
        assert config.trial.number == by_name[point.name].number


def test_the_same_command_joins_another_search_is_refused(make: Make) -> None:
    first = make()
    assert make().sweep == first.sweep
    grown = make(*SPACE, "sweep.search.trials=20")
    assert grown.total == 20
    other = ["lr0=interval(1e-3,1e-1)", "optimizer=SGD,AdamW", "model=yolo26n.yaml", "sweep.search.seed=1"]
    with pytest.raises(ConfigError) as raised:
        make(*other)
    assert [problem.key for problem in raised.value.problems] == ["sweep.search.seed", "lr0"]
    with pytest.raises(ConfigError) as raised:
        make(*SPACE, "epochs=3")
    assert [problem.key for problem in raised.value.problems] == ["epochs"]


def test_points_take_their_gpus_among_those_that_were_typed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (configure, local):
        monkeypatch.setattr(module, "this_machine", lambda: Machine(gpu_count=4, cpus=8, has_bf16=True))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    sweep = make(*SPACE, "device=1,3", "cluster.procs_per_node=1").sweep
    assert local.frozen_slots(sweep).gpus == ("1", "3")
    assert make(*SPACE, "device=2", "cluster.procs_per_node=1").sweep == sweep
    assert local.frozen_slots(sweep).gpus == ("2",)


def test_what_a_killed_launcher_left_is_reconciled(make: Make) -> None:
    search = make()
    unknown, failed, pruned = (ask_point(search, index) for index in range(3))
    for asked in (unknown, failed, pruned):
        assert asked is not None
    assert unknown is not None
    assert failed is not None
    assert pruned is not None
    record = search.sweep.record.read_text()
    search.sweep.record.write_text(record.replace("- name: trial-000", "- name: trial-099\n  index: 99"))
    write_event(failed[0], "failed", attempt=0, error="broken")
    events.append(failed[0], events.Exited(attempt=0, exit_code=1))
    pruned[0].result.write_text('{"pruned": true, "fitness": 0.5, "epochs": 1, "metrics": {}}')
    for _ in range(2):
        reconcile(search)
        trials = studies.load(search.sweep.journal).trials
        assert [trial.state.name for trial in trials] == ["FAIL", "FAIL", "PRUNED"]
    assert "frozen" in trials[0].user_attrs["error"]
    assert trials[1].user_attrs["error"] == "broken"


def test_a_launcher_that_was_killed_between_choosing_a_point_and_asking_for_it_costs_nothing(make: Make) -> None:
    search = make("seed=range(0,2)", "model=yolo26n.yaml")
    studies.load(search.sweep.journal).enqueue_trial({"seed": 1})
    source = SearchSource(search, print)
    runs = [source.next(), source.next()]
    assert [run.name for run in runs if run is not None] == ["trial-000", "trial-001"]
    assert load(search.sweep.run("trial-000").config).seed == 1
    assert source.next() is None


@pytest.mark.parametrize("where", ["lock", "tell", "freeze"])
def test_on_a_full_disk_points_that_train_go_on(make: Make, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    search, said = make(), list[str]()
    source = SearchSource(search, said.append)
    first, second = source.next(), source.next()
    assert first is not None
    assert second is not None
    first.result.write_text('{"fitness": 0.5, "epochs": 1, "metrics": {}}')
    with monkeypatch.context() as patched:
        if where != "freeze":
            holder, name = (source_module, "take") if where == "lock" else (studies, "tell_complete")
            patched.setattr(holder, name, full)
            source.ended(first, status(first, nobody))
            assert "No space left" in said[0]
        else:
            patched.setattr(search_module, "freeze_point", full)
        assert source.next() is None
    assert source.is_exhausted(), "no error, while the other one trains"
    for run in (first, second):
        source.ended(run, status(run, nobody))
    with pytest.raises(ConfigError, match="No space left") as raised:
        source.is_exhausted()
    assert "the same" in raised.value.problems[0].instead, "the study is not damaged"


def test_a_point_whose_folder_was_removed_is_made_anew(make: Make) -> None:
    search = make("seed=range(0,2)", "model=yolo26n.yaml")
    for index in range(2):
        ask_point(search, index)
    shutil.rmtree(search.sweep.run("trial-000").path)
    source = SearchSource(search, print)
    runs = [source.next(), source.next()]
    assert sorted(run.name for run in runs if run is not None) == ["trial-000", "trial-001"]
    assert sorted(load(search.sweep.run_of(index).config).seed for index in range(2)) == [0, 1]
    trials = studies.load(search.sweep.journal).trials
    assert trials[0].state.name == "FAIL", "its point may be asked for again"
    assert sum(trial.state.name == "RUNNING" for trial in trials) == 2


def test_a_point_that_a_machine_took_along_still_runs_for_the_study(make: Make) -> None:
    search = make()
    asked = ask_point(search, 0)
    assert asked is not None
    run = asked[0]
    gone = {"rank": 0, "host": socket.gethostname(), "pid": 2**22 + 1, "device": "cpu"}  # no pid is that high
    events.append(run, events.AttemptStarted(attempt=1, world_size=1, processes=[gone]))
    assert status(run, nobody).error == LOST
    assert SearchSource(search, print).next() == run  # it goes on, and may still report, be pruned, and be learned from
    assert SearchSource(search, print, failed_only=True).next() == run, "it is shown as failed, too"
    assert [trial.state.name for trial in studies.load(search.sweep.journal).trials] == ["RUNNING"]


def test_a_command_that_was_killed_before_its_search_was_complete_can_be_typed_again(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(ready_module, "write", killed)
        with pytest.raises(Killed):
            make()
    (tmp_path / "runs" / "s" / "study.journal.lock").touch()  # of one that was killed a moment earlier
    assert make().sweep.points() == ()


def test_a_point_that_a_person_cancels_is_not_taken_up_by_another_launcher_at_work(make: Make) -> None:
    search = make("sweep.search.trials=1", *SPACE)
    asked = ask_point(search, 0)
    assert asked is not None
    source = SearchSource(search, print)
    events.append(asked[0], events.AttemptLaunched(attempt=1, host="elsewhere", pid=1, argv=[]))
    events.append(asked[0], events.Cancelled())
    events.append(asked[0], events.Exited(attempt=1, exit_code=130))
    assert source.next() is None
    assert source.is_exhausted()
    assert SearchSource(search, print).next() == asked[0], "one that starts later goes on with it"


def test_points_that_failed_are_tried_again_only_if_that_is_wanted(make: Make) -> None:
    search = make("sweep.search.trials=1", *SPACE)
    asked = ask_point(search, 0)
    assert asked is not None
    write_event(asked[0], "failed", attempt=0, error="broken")
    events.append(asked[0], events.Exited(attempt=0, exit_code=1))
    source = SearchSource(search, print)
    assert source.next() is None
    assert source.is_exhausted()
    again = SearchSource(search, print, failed_only=True)
    assert again.next() == asked[0]
    assert again.next() is None
    assert again.is_exhausted()


def test_a_point_whose_lock_somebody_holds_is_waited_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    search = make("sweep.search.trials=1", *SPACE)
    asked = ask_point(search, 0)
    assert asked is not None
    events.append(asked[0], events.AttemptLaunched(attempt=1, host="elsewhere", pid=1, argv=[]))
    events.append(asked[0], events.Exited(attempt=1, exit_code=75))
    source = SearchSource(search, print)
    assert source.next() == asked[0]
    source.ended(asked[0], replace(status(asked[0], nobody), state="pending"))  # as the pool says of one it cannot lock
    assert source.next() is None
    assert not source.is_exhausted()
    monkeypatch.setattr(source_module, "AGAIN_S", 0.0)
    assert source.next() == asked[0]


def test_a_study_that_cannot_be_read_ends_the_search_with_a_word(make: Make) -> None:
    search = make()
    search.sweep.journal.write_text("zeros\n")
    source = SearchSource(search, print)
    assert source.next() is None
    with pytest.raises(ConfigError, match=r"study\.journal"):
        source.is_exhausted()


def test_nothing_is_left_of_a_search_that_is_wrong(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        make("lr0=interval(0,2)", "model=yolo26n.yaml")
    with pytest.raises(ConfigError):
        make("lrf=interval(0,1)", "model=yolo26n.yaml", "data=path/to/no.yaml")
    assert not (tmp_path / "runs").exists()


def test_a_search_opens_again_from_another_folder(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own" / "sweep").mkdir(parents=True)
    (tmp_path / "own" / "sweep" / "mine.yaml").write_text(
        "search: {sampler: random, trials: 3}\nparams: {seed: 'range(0,9)'}"
    )
    search = make("--config-dir=own", "sweep=mine", "model=yolo26n.yaml")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = open_search(search.sweep)
    assert again == search
    asked = ask_point(again, 0)
    assert asked is not None
    assert asked[1] is None
    assert next(iter(jsonl.read(search.sweep.journal)))
    shutil.rmtree(search.sweep.path)
