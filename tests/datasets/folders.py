"""Small datasets on disk, and what is wrong with a source that is prepared."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from yoloscale.config.schema import DataConfig, Task
from yoloscale.datasets import sources
from yoloscale.errors import ConfigError, Problem


def dataset_in(folder: Path, images: int = 2) -> Path:
    """Images and labels below `folder`: images/train/0.png …, labels/train/0.txt …; returns the folder."""
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for number in range(images):
            cv2.imwrite(str(folder / "images" / split / f"{number}.png"), np.zeros((16, 16, 3), np.uint8))
            (folder / "labels" / split / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    return folder


def quiet(line: str) -> None:
    """Take what `say` would print."""


def picture(file: Path, seed: int = 0) -> None:
    """Write an image of noise."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8))


def problem_of(source: str, task: Task, cache: Path) -> Problem:
    """The first problem of a source that cannot be prepared."""
    with pytest.raises(ConfigError) as raised:
        sources.prepare(DataConfig(source=source), task, cache, quiet)
    return raised.value.problems[0]
