from __future__ import annotations

import errno
import multiprocessing
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.run_events import lines_of, write_event

from yoloscale.api import Run
from yoloscale.backends.run_lock import lock
from yoloscale.cli.show.event_lines import EventLines
from yoloscale.config.freeze import load
from yoloscale.config.schema import Config, Device, Task
from yoloscale.errors import ConfigError
from yoloscale.launch.cancel import cancel
from yoloscale.launch.configure import configure
from yoloscale.launch.run_folder import create_or_resume, default_name, named_run, proposed_run
from yoloscale.launch.start import resume_request
from yoloscale.runs import events
from yoloscale.runs.events import files as event_files
from yoloscale.system.machine import Machine

Make = Callable[..., Config]
NAMES = ["plain", "two words", "it's", 'say "hi"', "$(touch x)", "`touch x`", "ä; rm -rf *", "-dash", "a=b,c"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_folder_name_and_nothing_else(config: Make, tmp_path: Path, name: str) -> None:
    taken = create_or_resume(config(name), [f"name={name}"])
    assert taken.run.path == tmp_path / "runs" / name
    assert load(taken.run.config).name == name
    assert yaml.safe_load(taken.run.overrides.read_text()) == [f"name={name}"]
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == [name]


def test_without_a_name_model_and_dataset_are_it(config: Make) -> None:
    names = []
    for _ in range(3):
        unnamed = config(None)
        assert proposed_run(unnamed).name not in names
        taken = create_or_resume(unnamed, [])
        names.append(taken.run.name)
        assert taken.config.name == names[-1]
    assert names == ["yolo26n-shapes", "yolo26n-shapes-2", "yolo26n-shapes-3"]


def test_who_finds_a_run_under_its_lock_has_not_made_it(config: Make) -> None:
    """One that another command has made meanwhile stays where a scheduler refuses this one's job."""
    made = create_or_resume(config(), [])
    assert made.before is None
    made.release()
    found = create_or_resume(config(), [])
    assert found.before is not None
    assert found.before.config == found.config


def test_a_model_that_is_a_path_gives_a_plain_name(config: Make) -> None:
    made = config(None)
    made.model.name, made.data.name = "my models/best", "../data"
    assert default_name(made) == "my-models-best-..-data"


def claim_one(config: Config) -> str:
    return create_or_resume(config, []).run.name


def test_many_at_once_get_names_of_their_own(config: Make) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        names = pool.map(claim_one, [config(None) for _ in range(24)])
    assert len(set(names)) == 24


def test_the_same_config_takes_the_run_up(config: Make) -> None:
    create_or_resume(config(), []).release()
    create_or_resume(config(), []).release()


def test_a_run_in_use_is_refused_with_the_way_out(config: Make) -> None:
    taken = create_or_resume(config(), [])
    with pytest.raises(ConfigError, match="yoloscale cancel"):
        create_or_resume(config(), [])
    taken.release()
    create_or_resume(config(), [])


def test_another_config_under_the_same_name_lists_the_difference(config: Make) -> None:
    create_or_resume(config(), []).release()
    other = config(procs_per_node=4)
    other.epochs, other.paths.cache = 7, "/elsewhere"
    with pytest.raises(ConfigError) as caught:
        create_or_resume(other, [])
    (problem,) = caught.value.problems
    assert problem.key == "epochs", "where it runs may change"
    assert "`yoloscale resume run epochs=7`" in problem.instead
    assert "100 in run 'run' → 7 now" in str(caught.value)


def test_where_it_runs_may_change_and_is_frozen_anew_and_put_on_record(config: Make) -> None:
    create_or_resume(config(threads=1), []).release()
    taken = create_or_resume(config(procs_per_node=4, threads=1), [])
    frozen = load(taken.run.config)
    assert (frozen.cluster.procs_per_node, frozen.cluster.planned_ranks) == (4, 2)
    moved = [event for event in lines_of(taken.run) if event["event"] == "moved"]
    assert [(event["from"], event["to"]) for event in moved] == [
        ({"cluster.procs_per_node": 2}, {"cluster.procs_per_node": 4})
    ]
    assert "4 ranks × 8, accumulate 2 (planned for 2 ranks × 8, accumulate 4" in moved[0]["plan"]
    assert EventLines().event_lines(events.parse(moved[0]))[0].startswith("goes on with cluster.procs_per_node 2 → 4")
    taken.release()
    create_or_resume(config(procs_per_node=4, threads=1), []).release()
    assert len(lines_of(taken.run)) == 1, "nothing moved: nothing to tell"
    create_or_resume(config(threads=1), []).release()
    assert load(taken.run.config).cluster.procs_per_node == 2


def test_ranks_that_the_batch_does_not_divide_over_change_nothing(config: Make) -> None:
    taken = create_or_resume(config(), [])
    taken.release()
    before = taken.run.config.read_bytes()
    with pytest.raises(ConfigError, match="go on with 1, 2, 4, 8 or 16 ranks"):
        create_or_resume(config(procs_per_node=3), [])
    assert taken.run.config.read_bytes() == before
    assert not event_files.exist(taken.run)


@pytest.mark.parametrize(("started", "planned"), [(True, 2), (False, 3)])
def test_a_batch_sized_at_the_first_start_binds_once_there_was_one(config: Make, started: bool, planned: int) -> None:
    def sized(**cluster: int) -> Config:
        return replace(config(**cluster), batch=-1)

    taken = create_or_resume(sized(), [])
    taken.release()
    if started:
        write_event(taken.run, "training_started", batch=36)
        with pytest.raises(ConfigError, match="do not divide over 5 ranks"):
            create_or_resume(sized(procs_per_node=5), [])
    create_or_resume(sized(procs_per_node=3), []).release()
    assert load(taken.run.config).cluster.planned_ranks == planned
    told = [event["plan"] for event in lines_of(taken.run) if event["event"] == "moved"]
    assert ["planned for 2 ranks × 18" in plan for plan in told] == [started]


@pytest.mark.parametrize("where", [["cluster.procs_per_node=1"], ["device=cpu", "cluster.threads=3"]])
def test_resumed_elsewhere(config: Make, monkeypatch: pytest.MonkeyPatch, where: list[str]) -> None:
    monkeypatch.setattr("yoloscale.launch.start.prepared", lambda config, _: config)
    made = config()
    made.model.architecture, made.model.task = "yolo26n.yaml", Task.detect
    taken = create_or_resume(made, [])
    with pytest.raises(ConfigError, match="being trained already"):
        resume_request(taken.run, where).take(print)
    taken.release()
    with pytest.raises(ConfigError, match=r"yoloscale train .*lr0=0\.5.* name=run-2"):
        resume_request(taken.run, [*where, "lr0=0.5"]).take(print)
    assert load(taken.run.config).cluster == replace(made.cluster, planned_ranks=2)
    resume_request(taken.run, where).take(print).release()
    (moved,) = lines_of(taken.run)
    assert moved["event"] == "moved"
    assert moved["to"] == {key: int(value) for key, _, value in [where[-1].partition("=")]}
    resume_request(taken.run).take(print).release()
    assert len(lines_of(taken.run)) == 1


def test_resumed_elsewhere_from_python(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yoloscale.launch.start.prepared", lambda config, _: config)
    monkeypatch.setattr("yoloscale.launch.here.run_in_background", lambda taken: taken.release())
    made = config()
    made.model.architecture, made.model.task = "yolo26n.yaml", Task.detect
    taken = create_or_resume(made, [])
    taken.release()
    Run(taken.run.path).resume("device=cpu", cluster={"procs_per_node": 1})
    assert load(taken.run.config).cluster == replace(made.cluster, procs_per_node=1, planned_ranks=2)
    with pytest.raises(ConfigError, match="lr0"):
        Run(taken.run.path).resume(lr0=0.1)


def test_the_same_command_elsewhere_takes_the_run_up(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first machine decided stays; a machine that lacks it says so; ranks nobody can plan for are refused."""
    gpus = Machine(gpu_count=2, cpus=8, has_bf16=True)
    monkeypatch.setattr("yoloscale.config.resolve.this_machine", lambda: gpus)
    monkeypatch.setattr("yoloscale.config.check.train.this_machine", lambda: gpus)
    typed = ["name=x", f"paths.runs={config().paths.runs}"]
    create_or_resume(configure(typed), typed).release()
    cpu = Machine(gpu_count=0, cpus=8, has_bf16=False)
    monkeypatch.setattr("yoloscale.config.resolve.this_machine", lambda: cpu)
    monkeypatch.setattr("yoloscale.config.check.train.this_machine", lambda: cpu)
    with pytest.raises(ConfigError, match="write device=cpu"):
        configure(typed)
    taken = create_or_resume(configure([*typed, "device=cpu"]), typed)
    taken.release()
    frozen = load(taken.run.config)
    assert (frozen.cluster.device, frozen.cluster.procs_per_node, frozen.amp) == (Device.cpu, 2, "fp32")
    create_or_resume(configure(typed), typed).release()
    assert load(taken.run.config) == frozen
    with pytest.raises(ConfigError, match=r"cluster\.planned_ranks"):
        configure([*typed, "cluster.planned_ranks=4"])


def test_a_task_read_from_the_weights_is_no_difference(config: Make) -> None:
    first = config()
    first.model.task = Task.segment
    create_or_resume(first, []).release()
    create_or_resume(config(), [])


def test_a_finished_run_says_how_to_start_another(config: Make) -> None:
    taken = create_or_resume(config(), [])
    taken.release()
    events.append(taken.run, events.Finished(epochs=1, steps=1))
    taken.run.result.write_text("{}")
    with pytest.raises(ConfigError, match="is finished") as caught:
        create_or_resume(config(), [])
    assert "another name=" in str(caught.value)


def test_a_folder_with_something_else_in_it_is_left_alone(config: Make) -> None:
    folder = named_run(config(), "run").path
    folder.mkdir(parents=True)
    (folder / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="is no run"):
        create_or_resume(config(), [])
    assert [entry.name for entry in folder.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("made_before", [["overrides.yaml"], ["overrides.yaml", "config.yaml.77.part"]])
def test_a_launcher_killed_before_it_froze_the_config_blocks_nobody(config: Make, made_before: list[str]) -> None:
    folder = named_run(config(), "run").path
    (folder / "job").mkdir(parents=True)
    for name in made_before:
        (folder / name).touch()
    assert create_or_resume(config(), []).run.config.exists()


def test_without_file_locks_the_events_tell_who_has_the_run(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", no_locks)
    taken = create_or_resume(config(), [])
    host, pid = socket.gethostname(), os.getpid()
    events.append(taken.run, events.AttemptLaunched(attempt=1, host=host, pid=pid, argv=[]))
    with pytest.raises(ConfigError, match="being trained already"):
        create_or_resume(config(), [])
    events.append(taken.run, events.Exited(attempt=1, exit_code=75))
    create_or_resume(config(), [])


def test_without_file_locks_a_job_gets_the_run_that_it_was_submitted_for(
    config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    run = create_or_resume(config(), []).run
    where = {"host": "node1", "pid": 1, "argv": []}
    write_event(run, "attempt_launched", attempt=1, start="41.0.0", **where)
    lock(run, job="41").release()  # requeued by SLURM
    with pytest.raises(ConfigError, match="in job 41 already"):
        lock(run, job="42")
    events.append(run, events.Exited(attempt=1, exit_code=1))
    events.append(run, events.Submitted(job="42"))
    lock(run, job="42").release()
    with pytest.raises(ConfigError, match="in job 42 already"):
        lock(run, job="41")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_run_that_ends_while_it_is_being_cancelled_has_ended(
    config: Make, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    def gone(*_: int) -> None:
        raise ProcessLookupError

    taken = create_or_resume(config(), [])
    host, pid = socket.gethostname(), os.getpid()
    events.append(taken.run, events.AttemptLaunched(attempt=1, host=host, pid=pid, argv=[]))
    monkeypatch.setattr("os.kill", gone)
    assert cancel(taken.run, at_once=at_once)


def test_what_each_start_chooses_makes_no_other_run_and_is_taken_over(config: Make) -> None:
    create_or_resume(config(max_restarts=0), []).release()
    second = config(max_restarts=5, time="12:00:00", stop_before_s=60.0, timeout_s=30.0, min_nodes=1)
    taken = create_or_resume(second, [])
    frozen = load(taken.run.config).cluster
    assert (frozen.max_restarts, frozen.time, frozen.stop_before_s) == (5, "12:00:00", 60.0)
    assert (frozen.timeout_s, frozen.min_nodes) == (30.0, 1)
