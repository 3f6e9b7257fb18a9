from __future__ import annotations

import errno
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from yoloscale.config.errors import ConfigError
from yoloscale.config.freeze import load
from yoloscale.config.schema import Config, Task
from yoloscale.launch.cancel import cancel
from yoloscale.launch.claim import claim, default_name, named_run, proposed_run
from yoloscale.runs import events

Make = Callable[..., Config]
NAMES = ["plain", "two words", "it's", 'say "hi"', "$(touch x)", "`touch x`", "ä; rm -rf *", "-dash", "a=b,c"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_folder_name_and_nothing_else(config: Make, tmp_path: Path, name: str) -> None:
    taken = claim(config(name), [f"name={name}"])
    assert taken.run.path == tmp_path / "runs" / name
    assert load(taken.run.config).name == name
    assert yaml.safe_load(taken.run.overrides.read_text()) == [f"name={name}"]
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == [name]


def test_without_a_name_model_and_dataset_are_it(config: Make) -> None:
    names = []
    for _ in range(3):
        unnamed = config(None)
        assert proposed_run(unnamed).name not in names
        names.append(claim(unnamed, []).run.name)
        assert unnamed.name == names[-1]
    assert names == ["yolo26n-shapes", "yolo26n-shapes-2", "yolo26n-shapes-3"]


def test_a_model_that_is_a_path_gives_a_plain_name(config: Make) -> None:
    made = config(None)
    made.model.name, made.data.name = "my models/best", "../data"
    assert default_name(made) == "my-models-best-..-data"


def claim_one(config: Config) -> str:
    return claim(config, []).run.name


def test_many_at_once_get_names_of_their_own(config: Make) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        names = pool.map(claim_one, [config(None) for _ in range(24)])
    assert len(set(names)) == 24


def test_the_same_config_takes_the_run_up(config: Make) -> None:
    claim(config(), []).release()
    claim(config(), []).release()


def test_a_run_in_use_is_refused_with_the_way_out(config: Make) -> None:
    taken = claim(config(), [])
    with pytest.raises(ConfigError, match="yoloscale cancel"):
        claim(config(), [])
    taken.release()
    claim(config(), [])


def test_another_config_under_the_same_name_lists_the_difference(config: Make) -> None:
    claim(config(), []).release()
    other = config(procs_per_node=4)
    other.epochs, other.paths.cache = 7, "/elsewhere"
    with pytest.raises(ConfigError) as caught:
        claim(other, [])
    assert {problem.key for problem in caught.value.problems} == {"epochs", "cluster.procs_per_node"}
    assert "100 in run 'run' → 7 now" in str(caught.value)


def test_a_task_read_from_the_weights_is_no_difference(config: Make) -> None:
    first = config()
    first.model.task = Task.segment
    claim(first, []).release()
    claim(config(), [])


def test_a_finished_run_says_how_to_start_another(config: Make) -> None:
    taken = claim(config(), [])
    taken.release()
    events.record(taken.run, events.FINISHED, epochs=1, steps=1)
    taken.run.result.write_text("{}")
    with pytest.raises(ConfigError, match="is finished") as caught:
        claim(config(), [])
    assert "another name=" in str(caught.value)


def test_a_folder_with_something_else_in_it_is_left_alone(config: Make) -> None:
    folder = named_run(config(), "run").path
    folder.mkdir(parents=True)
    (folder / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="is no run"):
        claim(config(), [])
    assert [entry.name for entry in folder.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("made_before", [["overrides.yaml"], ["overrides.yaml", "config.yaml.77.part"]])
def test_a_launcher_killed_before_it_froze_the_config_blocks_nobody(config: Make, made_before: list[str]) -> None:
    folder = named_run(config(), "run").path
    (folder / "job").mkdir(parents=True)
    for name in made_before:
        (folder / name).touch()
    assert claim(config(), []).run.config.exists()


def test_without_file_locks_the_events_tell_who_has_the_run(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", no_locks)
    taken = claim(config(), [])
    host, pid = socket.gethostname(), os.getpid()
    events.record(taken.run, events.ATTEMPT_LAUNCHED, attempt=1, host=host, pid=pid, argv=[])
    with pytest.raises(ConfigError, match="being trained already"):
        claim(config(), [])
    events.record(taken.run, events.EXITED, attempt=1, exit_code=75)
    claim(config(), [])


@pytest.mark.parametrize("at_once", [True, False])
def test_a_run_that_ends_while_it_is_being_cancelled_has_ended(
    config: Make, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    def gone(*_: int) -> None:
        raise ProcessLookupError

    taken = claim(config(), [])
    host, pid = socket.gethostname(), os.getpid()
    events.record(taken.run, events.ATTEMPT_LAUNCHED, attempt=1, host=host, pid=pid, argv=[])
    monkeypatch.setattr("os.kill", gone)
    assert cancel(taken.run, at_once=at_once)


def test_what_each_start_chooses_makes_no_other_run_and_is_taken_over(config: Make) -> None:
    claim(config(max_restarts=0), []).release()
    second = config(max_restarts=5, time="12:00:00", stop_before_s=60.0, timeout_s=30.0, min_nodes=1)
    taken = claim(second, [])
    frozen = load(taken.run.config).cluster
    assert (frozen.max_restarts, frozen.time, frozen.stop_before_s) == (5, "12:00:00", 60.0)
    assert (frozen.timeout_s, frozen.min_nodes) == (30.0, 1)
