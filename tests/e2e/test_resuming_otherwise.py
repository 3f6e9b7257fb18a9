"""Runs that were stopped and went on otherwise, beside one that never was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.e2e import self_stop

from yoloscale.checkpoint.compare import differing

COMMON = ("amp=fp32", "cluster.threads=1", "debug.trace=true", "data=a/data.yaml", "epochs=3")


def make(root: Path, images: int) -> None:
    """A dataset of noise with a box in each image, which is enough to tell samples apart."""
    drawn = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number in range(images if split == "train" else 4):
            pixels = drawn.integers(0, 255, (128, 128, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "images" / split / f"{number:02}.png")
            (root / "labels" / split / f"{number:02}.txt").write_text(f"{number % 2} 0.5 0.5 0.{2 + number % 5} 0.3\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b]\n")


def stopped(yoloscale: Any, folder: Path, *arguments: str) -> None:
    """A run that was stopped amid its first epoch, of five steps at least; `folder`: for its callback."""
    left = yoloscale.train("stopped", *arguments, *self_stop.arguments(folder), ranks=1, code=75)
    assert 0 < len(left.trace) < 5


def go_on(yoloscale: Any, *changes: str) -> Any:
    return yoloscale.finish(yoloscale.start("resume", "stopped", *changes), "stopped", 0, 900)


@pytest.mark.long
def test_where_data_lies_and_what_loads_and_tells_change_no_bit(yoloscale: Any, tmp_path: Path) -> None:
    make(tmp_path / "a", 24)
    given = (*COMMON, "batch=4", "nbs=4", "workers=0", "mosaic=1", "close_mosaic=1")
    whole = yoloscale.train("whole", *given, ranks=1)
    stopped(yoloscale, tmp_path / "own", *given)
    shutil.move(tmp_path / "a", tmp_path / "disk 2" / "b")
    free = ("workers=2", "cache=ram", "plots=true", "save_period=1", "checkpoint.keep=3", "checkpoint.every_steps=2")
    resumed = go_on(yoloscale, "data=disk 2/b/data.yaml", *free, "logger=none", "verbose=false")
    assert resumed.trace == whole.trace
    assert list(differing(resumed.state(), whole.state())) == []
    assert (resumed.run.weights / "epoch2.pt").exists()
    assert (resumed.run.path / "results.png").exists()
    (moved,) = resumed.events("moved")
    assert set(moved["to"]) == {
        *("data.source", "workers", "cache", "plots", "save_period", "verbose"),
        *("checkpoint.keep", "checkpoint.every_steps"),
    }
    assert moved["remarks"] == []


@pytest.mark.long
def test_other_batches_and_more_epochs_keep_the_images_of_each_step(yoloscale: Any, tmp_path: Path) -> None:
    """More epochs would make another optimiser of `auto`: it is decided by the number of steps."""
    make(tmp_path / "a", 20)
    short = (
        "epochs=1990",
        "patience=0",
        "warmup_epochs=0",
        "close_mosaic=0",
    )  # 9,950 steps: below the 10,000 of `auto`
    given = (*COMMON, *short, "batch=4", "nbs=4", "workers=0", "optimizer=auto")
    whole = yoloscale.start_training("whole", *given, ranks=1)
    yoloscale.until(whole, "whole", 12)
    whole.terminate()
    samples = [line["samples"] for line in yoloscale.finish(whole, "whole", 75, timeout_s=900).trace]
    stopped(yoloscale, tmp_path / "own", *given)
    process = yoloscale.start("resume", "stopped", "batch=2", "epochs=20000")
    yoloscale.until(process, "stopped", 12, attempt=2)
    process.terminate()
    resumed = yoloscale.finish(process, "stopped", 75, timeout_s=900)
    assert [line["samples"] for line in resumed.trace[:12]] == samples[:12]
    started = resumed.events("training_started")
    assert [each["steps_per_epoch"] for each in started] == [5, 5]
    assert [each["epochs"] for each in started] == [1990, 20000]
