"""A run that was stopped in the middle of an epoch and goes on with other ranks ends as one that never was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Commands, Done
from tests.run_events import lines_of

pytestmark = pytest.mark.long

# 6 micro-batches of 4 images make an optimiser step; the last step of an epoch has 4
GIVEN = ("model=yolo26n.yaml", "nbs=24", "data.shapes.train_images=88", "epochs=2", "amp=false")
FIXED = ("debug.trace=true", "cluster.threads=1", "cluster.exact_reduce=true", "workers=0", "val=false", "save=false")
STEPS_PER_EPOCH = 4


def arguments(ranks: int) -> tuple[str, ...]:
    return (*GIVEN, *FIXED, f"batch={4 * ranks}")


@pytest.fixture(scope="module")
def yoloscale(
    tmp_path_factory: pytest.TempPathFactory, cache: Path, narrow_model: Callable[[str], Path]
) -> Iterator[Commands]:
    """All runs of this module in one folder."""
    commands = Commands(tmp_path_factory.mktemp("topologies"), cache, narrow_model("yolo26"))
    yield commands
    commands.end_all()


@pytest.fixture(scope="module")
def never_stopped(yoloscale: Commands) -> subprocess.Popen[str]:
    return yoloscale.start_training("whole", *arguments(1), ranks=1)


@pytest.fixture(scope="module")
def whole(yoloscale: Commands, never_stopped: subprocess.Popen[str], stopped_on_two: Done) -> Done:
    """On one rank, from start to end; beside the one that is stopped."""
    return yoloscale.finish(never_stopped, "whole", 0, 900)


def stopped(yoloscale: Commands, ranks: int) -> Done:
    """A run asked to stop by SIGTERM within its first epoch: its rank 0, whom it reaches at once."""
    name = f"stopped-{ranks}"
    process = yoloscale.start_training(name, *arguments(ranks), ranks=ranks)
    yoloscale.until(process, name, 1)
    started = next(e for e in lines_of(yoloscale.run_of(name)) if e["event"] == "attempt_started")
    os.kill(started["processes"][0]["pid"], signal.SIGTERM)
    done = yoloscale.finish(process, name, 75, 900)
    assert len(done.trace) % STEPS_PER_EPOCH, "stopped within an epoch"
    return done


@pytest.fixture(scope="module")
def stopped_on_two(yoloscale: Commands, never_stopped: subprocess.Popen[str]) -> Done:
    return stopped(yoloscale, 2)


def resumed(yoloscale: Commands, name: str, *where: str, code: int = 0) -> Done:
    return yoloscale.finish(yoloscale.start("resume", name, *where), name, code, 900)


def assert_moved(done: Done, planned: int, ranks: int, said: str) -> None:
    (moved,) = done.events("moved")
    assert moved["from"] == {"cluster.procs_per_node": planned}
    assert moved["to"] == {"cluster.procs_per_node": ranks}
    started = done.events("training_started")
    assert started[-1]["plan"] == moved["plan"]
    assert f"planned for {planned} rank" in moved["plan"]
    assert started[-1]["batch"] == started[0]["batch"] == 4 * planned
    assert f"batch: {4 * planned}\n" in (done.run.path / "args.yaml").read_text()
    warned = done.events("warning")[-1]["message"]
    assert said in warned
    assert warned in done.output


def test_the_same_micro_batches_on_fewer_ranks_give_the_same_bits(
    yoloscale: Commands, whole: Done, stopped_on_two: Done
) -> None:
    shutil.copytree(stopped_on_two.run.path, yoloscale.run_of("on one").path)
    done = resumed(yoloscale, "on one", "cluster.procs_per_node=1")
    assert len(whole.trace) == 2 * STEPS_PER_EPOCH
    assert done.trace == whole.trace
    assert_moved(
        done, 2, 1, "1 rank instead of 2: the same micro-batches in each step; gradients are equal bit for bit"
    )


def test_the_same_micro_batches_on_more_ranks_give_the_same_bits(yoloscale: Commands, whole: Done) -> None:
    """By `train` with the same name and config, but for the ranks."""
    stopped(yoloscale, 1)
    done = yoloscale.train("stopped-1", *arguments(1), ranks=2)
    assert done.trace == whole.trace
    assert_moved(done, 1, 2, "2 ranks instead of 1: the same micro-batches in each step")


def test_where_micro_batches_do_not_divide_each_step_keeps_its_samples(
    yoloscale: Commands, whole: Done, stopped_on_two: Done
) -> None:
    """6 micro-batches do not divide over 4 ranks, their 24 images do."""
    shutil.copytree(stopped_on_two.run.path, yoloscale.run_of("on four").path)
    done = resumed(yoloscale, "on four", "cluster.procs_per_node=4")
    before = len(stopped_on_two.trace)
    assert done.trace[:before] == whole.trace[:before]
    assert [line["samples"] for line in done.trace] == [line["samples"] for line in whole.trace]
    assert [line["step"] for line in done.trace] == [line["step"] for line in whole.trace]
    assert_moved(done, 2, 4, "batch norm sees groups of 3 images instead of 4")


def test_what_cannot_be_changes_nothing_and_is_told(yoloscale: Commands, stopped_on_two: Done) -> None:
    name, frozen = stopped_on_two.run.name, stopped_on_two.run.config.read_bytes()
    works = "go on with 2, 3, 4, 6, 8 or 12 ranks"
    assert works in resumed(yoloscale, name, "cluster.procs_per_node=5", code=2).output
    assert works in yoloscale.train(name, *arguments(2), ranks=5, code=2).output
    longer = yoloscale.train(name, *arguments(2), "epochs=9", ranks=1, code=2)
    assert "epochs: 2 in run 'stopped-2' → 9 now" in longer.output
    other = resumed(yoloscale, name, "cluster.procs_per_node=1", "seed=9", code=2)
    assert "seed: 9 instead of 0" in other.output
    assert stopped_on_two.run.config.read_bytes() == frozen
