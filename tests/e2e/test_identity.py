"""A run's folder is removed, or renamed, while its ranks hold the path, and the name is used again."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch

from yoloscale.checkpoint.compare import differing
from yoloscale.config.freeze import load
from yoloscale.runs import events

from .conftest import Commands, Done

pytestmark = pytest.mark.long

MODEL = "model=yolo26n.yaml"
OLD = (MODEL, "epochs=100", "checkpoint.every_steps=1", "debug.trace=true", "logger=tensorboard", "seed=1")
NEW = (MODEL, "epochs=2", "batch=16", "nbs=16", "debug.trace=true", "logger=tensorboard", "seed=2")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Done:
    """What the new run is when nobody else has its name."""
    return Commands(tmp_path_factory.mktemp("alone"), cache).train("alone", *NEW)


@pytest.fixture
def frozen_ranks() -> Iterator[Callable[[psutil.Process], list[psutil.Process]]]:
    """Freezes launcher, agent and ranks of a run; whatever is left of them is killed at the end."""
    frozen: list[psutil.Process] = []

    def freeze(launcher: psutil.Process) -> list[psutil.Process]:
        found = [launcher, *launcher.children(recursive=True)]
        for process in found:
            process.send_signal(signal.SIGSTOP)
        frozen.extend(found)
        return found

    yield freeze
    for process in frozen:
        if process.is_running():
            process.kill()


def files_of(folder: Path, but: str = "") -> dict[str, int]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != but]
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def remove(folder: Path) -> Path:
    shutil.rmtree(folder)
    return folder


def rename(folder: Path) -> Path:
    return folder.rename(folder.with_name(f"{folder.name}-renamed"))


@pytest.mark.parametrize(("lose", "name"), [(remove, "removed"), (rename, "renamed")])
def test_the_new_run_is_what_it_would_have_been_alone(
    yoloscale: Commands,
    alone: Done,
    frozen_ranks: Callable[[psutil.Process], list[psutil.Process]],
    lose: Callable[[Path], Path],
    name: str,
) -> None:
    run = yoloscale.run_of(name)
    old = yoloscale.start_training(name, *OLD)
    yoloscale.until(old, name, steps=3)
    processes = frozen_ranks(psutil.Process(old.pid))
    lost = lose(run.path)
    before = files_of(lost, ".log") if lost.exists() else {}
    new = yoloscale.train(name, *NEW)
    files = files_of(run.path)
    for process in reversed(processes):  # the launcher last
        process.send_signal(signal.SIGCONT)
    output, _ = old.communicate(timeout=120)
    assert old.returncode == 1, output
    why = "belongs to another run by now"
    assert [line for line in output.splitlines() if why in line][-1].startswith("yoloscale: the folder "), output
    psutil.wait_procs(processes, timeout=60)
    assert not any(process.is_running() for process in processes)
    assert files_of(run.path) == files, "the old ranks and their launcher have written nothing"
    assert lost == run.path or files_of(lost, ".log") == before, "nor where it is now, but to logs that are open"
    assert new.trace == alone.trace
    assert list(differing(new.state(), alone.state())) == []
    models = [torch.load(done.run.best_weights, weights_only=False)["model"].state_dict() for done in (new, alone)]
    assert list(differing(*models)) == []
    assert {event["id"] for event in events.history(run)} == {load(run.config).id}
    assert [event["attempt"] for event in new.events(events.ATTEMPT_LAUNCHED)] == [1]


def test_ranks_that_save_at_a_stop_do_not_save_into_another_run(
    yoloscale: Commands, frozen_ranks: Callable[[psutil.Process], list[psutil.Process]]
) -> None:
    """The launcher is killed, its ranks are told to stop and save, and are frozen then."""
    name = "stopping"
    run = yoloscale.run_of(name)
    old = yoloscale.start_training(name, *OLD, "checkpoint.every_steps=1000")
    yoloscale.until(old, name, steps=3)
    processes = frozen_ranks(psutil.Process(old.pid))
    ranks = [
        process for process in processes if "RANK" in process.environ() and "yoloscale.worker" in process.cmdline()
    ]
    for process in ranks:
        process.send_signal(signal.SIGTERM)
    shutil.rmtree(run.path)
    new = yoloscale.start_training(name, *NEW, "epochs=3")
    yoloscale.until(new, name, steps=5)
    for process in reversed(processes):
        process.send_signal(signal.SIGCONT)
    done = yoloscale.finish(new, name, 0, 280)
    old.communicate(timeout=120)
    assert old.returncode == 1
    assert {json.loads(path.read_text())["id"] for path in run.checkpoints.glob("*/manifest.json")} == {
        load(run.config).id
    }
    assert done.events(events.FINISHED)[0]["steps"] == 12
    assert done.events(events.PREEMPTED) == []
    assert done.events(events.WARNING) == []


def test_a_copy_and_a_renamed_run_go_on(yoloscale: Commands) -> None:
    name = "moved"
    run = yoloscale.run_of(name)
    process = yoloscale.start_training(name, *NEW, "epochs=3")
    yoloscale.until(process, name, steps=5)
    process.send_signal(signal.SIGTERM)
    yoloscale.finish(process, name, 75, 120)
    copy = run.path.with_name("copied")
    shutil.copytree(run.path, copy)
    run.path.rename(run.path.with_name("renamed-on-purpose"))
    one, other = yoloscale.resume("copied"), yoloscale.resume("renamed-on-purpose")
    assert one.trace == other.trace
    assert len(one.trace) == 12
    assert load(one.run.config).id == load(other.run.config).id
    assert one.events(events.WARNING) == other.events(events.WARNING) == []
