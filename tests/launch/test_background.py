"""Detached runs, and the Python API on top of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.run_events import lines_of, write_event

import yoloscale
from yoloscale.api import Run, RunFailed
from yoloscale.backends.run_lock import lock
from yoloscale.config.compose.flags import Flags
from yoloscale.config.compose.hydra import compose
from yoloscale.config.compose.words import from_values
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError
from yoloscale.launch.configure import Configured
from yoloscale.launch.here import run_in_background
from yoloscale.launch.run_folder import create_or_resume, named_run
from yoloscale.launch.start import StartRequest
from yoloscale.runs import events

Make = Callable[..., Config]


@pytest.fixture
def start(config: Make, standin: None) -> Callable[..., Run]:
    def start_one(name: str = "run", **script: Any) -> Run:
        taken = create_or_resume(config(name, max_restarts=0), [])
        (taken.run.path / "standin.json").write_text(json.dumps({"steps": 20, **script}))
        run_in_background(taken)
        return Run(taken.run.path)

    return start_one


def until_training(run: Run) -> None:
    deadline = time.monotonic() + 200
    while run.status().state != "running" or run.status().phase:
        assert time.monotonic() < deadline, run.status()
        time.sleep(0.1)


def test_it_goes_on_in_a_session_of_its_own_and_finishes(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start("it's $(touch x)", steps=5000, until="go")
    assert run.status().state == "pending"
    with pytest.raises(ConfigError, match="trained already"):
        lock(run._run)
    with pytest.raises(TimeoutError):
        run.wait(timeout_s=0.1)
    with pytest.raises(FileNotFoundError):
        _ = run.best
    launched = lines_of(run._run)[0]
    assert psutil.Process(launched["pid"]).parent() is not None
    (run._run.path / "go").touch()
    assert run.wait(timeout_s=200).status().state == "finished"
    assert run.metrics["metrics/mAP50-95(B)"] == 0.5
    assert run.result is not None
    assert run.result["images_per_s"] == 50.0
    assert run.logs(rank=1).startswith("rank 1 trains")
    assert [found.name for found in yoloscale.runs(tmp_path / "runs")] == ["it's $(touch x)"]
    with pytest.raises(ConfigError, match="finished"):
        run.resume()


def test_a_failure_is_raised_with_the_ranks_words(start: Callable[..., Run]) -> None:
    run = start(steps=500, **{"break": {"rank": 1, "how": "raise", "step": 3}})
    with pytest.raises(RunFailed, match=r"rank 1 on .*teapot") as caught:
        run.wait(timeout_s=200)
    assert "Traceback" in str(caught.value)


def test_a_run_that_was_given_up_is_told_with_the_log_of_the_first_failure(config: Make) -> None:
    taken = create_or_resume(config(), [])
    run, log = taken.run, taken.run.rank_log(1, 1)
    for attempt, words in ((1, "a teapot"), (2, "a lost connection")):
        events.append(run, events.AttemptLaunched(attempt=attempt, host="here", pid=1, argv=[]))
        run.attempt_logs(attempt).mkdir(parents=True)
        run.rank_log(attempt, 1).write_text(f"{words}\n")
    said = {"rank": 1, "host": "here", "error": "ValueError", "gave_up": True, "log": str(log.relative_to(run.path))}
    write_event(run, "failed", attempt=2, **said)
    events.append(run, events.Exited(attempt=2, exit_code=1))
    taken.release()
    with pytest.raises(RunFailed, match="a teapot") as caught:
        Run(run.path).wait()
    assert "a lost connection" not in str(caught.value)


def test_a_start_that_is_broken_off_lets_go_of_the_run(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook goes on after an interrupt; the lock must not stay with it."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("yoloscale.launch.start.prepared", lambda config, say: config)
    monkeypatch.setattr("yoloscale.launch.start.end_leftovers", interrupted)
    made = config()
    with pytest.raises(KeyboardInterrupt):
        StartRequest(Configured(made, made, None), named_run(made, "run"), Flags()).take(print)
    lock(named_run(made, "run")).release()


def test_cancelled_from_python(start: Callable[..., Run]) -> None:
    run = start(steps=4000)
    until_training(run)
    assert run.cancel(timeout_s=300)
    assert run.status().state == "cancelled"
    with pytest.raises(RunFailed, match="cancelled"):
        run.wait()


def test_a_supervisor_that_cannot_start_is_no_started_run(
    config: Make, standin: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = create_or_resume(config(), [])
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ConfigError, match="did not start"):
        run_in_background(taken)
    lock(taken.run).release()


def test_keyword_values_are_data() -> None:
    name = "it's ${epochs} $(touch x), [a]=b \\ {c}"
    tokens = from_values({"name": name, "epochs": 3, "classes": [0, 2], "cluster": {"procs_per_node": 4}})
    config = compose([*tokens, *from_values({"cluster": "local", "model": "yolo26n", "data": "coco8"})])
    assert (config.name, config.epochs, config.classes) == (name, 3, [0, 2])
    assert config.cluster.procs_per_node == 4
    assert config.data.source == "coco8.yaml"


def test_a_path_with_odd_characters_is_data(tmp_path: Path) -> None:
    source = tmp_path / "my, 'data' $(x) ${y}=1" / "data.yaml"
    source.parent.mkdir()
    source.write_text("path: .\ntrain: images\nval: images\nnames: [a]\n")
    assert compose(from_values({"data": source})).data.source == str(source)
