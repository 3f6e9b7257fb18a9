"""Runs with `rect=true` on images of several shapes: whatever ranks and workers, the same; resumed, too."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import mixed_images
from tests.e2e import self_stop
from tests.e2e.conftest import Commands, Done

pytestmark = pytest.mark.long

# planned as 4 ranks of 2 images; 3 batches of 8 are an optimiser step; the last batch of an epoch has 5 images
ARGUMENTS = ("rect=true", "batch=8", "nbs=24", "epochs=2", "amp=false", "imgsz=96")
FIXED = ("debug.trace=true", "cluster.threads=1", "cluster.exact_reduce=true", "val=false", "save=false")
IMAGES, STEPS_PER_EPOCH = 69, 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"data={mixed_images.render(tmp_path_factory.mktemp('mixed'), train=IMAGES, val=10)}"


@pytest.fixture(scope="module")
def yoloscale(
    tmp_path_factory: pytest.TempPathFactory, cache: Path, narrow_model: Callable[[str], Path]
) -> Iterator[Commands]:
    """All runs of this module in one folder."""
    commands = Commands(tmp_path_factory.mktemp("rect"), cache, narrow_model("yolo26"))
    yield commands
    commands.end_all()


@pytest.fixture(scope="module")
def stopped(yoloscale: Commands, data: str, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """On four ranks, stopped by SIGTERM within its first epoch."""
    itself = self_stop.arguments(tmp_path_factory.mktemp("hooks") / "own")
    done = yoloscale.train("stopped", *ARGUMENTS, *FIXED, *itself, "workers=1", data, ranks=4, code=75)
    assert len(done.trace) % STEPS_PER_EPOCH, "stopped within an epoch"
    return done


@pytest.fixture(scope="module")
def whole(yoloscale: Commands, data: str) -> Done:
    """On four ranks, from start to end."""
    done = yoloscale.train("whole", *ARGUMENTS, *FIXED, "workers=0", data, ranks=4)
    assert len(done.trace) == 2 * STEPS_PER_EPOCH
    return done


@pytest.mark.parametrize("ranks", [4, 2, 1])
def test_a_run_goes_on_with_the_same_bits_on_any_ranks(
    yoloscale: Commands, whole: Done, stopped: Done, ranks: int
) -> None:
    name = f"on {ranks}"
    shutil.copytree(stopped.run.path, yoloscale.run_of(name).path)
    done = yoloscale.finish(yoloscale.start("resume", name, f"cluster.procs_per_node={ranks}"), name, 0, 900)
    assert done.trace == whole.trace


def test_a_run_that_starts_on_fewer_ranks_trains_on_the_same_samples(
    yoloscale: Commands, whole: Done, data: str
) -> None:
    """In micro-batches of other sizes, so not with the same losses: their batch norms see other groups."""
    runs = {f"from {ranks}": (ranks, (*ARGUMENTS, *FIXED, data)) for ranks in (1, 2)}
    for done in yoloscale.train_together(runs):
        assert [line["samples"] for line in done.trace] == [line["samples"] for line in whole.trace]


def test_it_says_what_it_switches_off(whole: Done) -> None:
    assert whole.output.count("rect=true") == 1
    assert "without mosaic, mixup and cutmix" in whole.output
