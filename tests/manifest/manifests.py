"""What tests of several modules of manifest/ need."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from yoloscale.manifest.sources import write
from yoloscale.manifest.table import Item, count, read
from yoloscale.system.remarks import Say, silent


def manifest_of(
    base: Path, *sources: str, column: str = "source", vid_stride: int = 1, say: Say = silent, to: Path | None = None
) -> list[Item]:
    """The rows of the manifest of these sources, written and read in the folder above `base`."""
    path = to or base.parent / "manifest.parquet"
    written = write(sources, path, column=column, vid_stride=vid_stride, base=base, say=say)
    assert written.images == count(path)
    return read(path, 0, written.images)


def sources_of(items: Sequence[Item]) -> list[str]:
    return [item.source for item in items]


def touch(base: Path, *names: str | bytes) -> None:
    """Files whose content is their name."""
    for name in names:
        path = base / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name))


def write_video(path: Path, frames: int, code: str = "MJPG") -> None:
    """A video at 25 frames a second, 64 × 48, no two frames alike."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 25, (64, 48))
    noise = np.random.default_rng(0)
    for number in range(frames):
        picture = noise.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        picture[0, 0] = number
        writer.write(cv2.resize(picture, (64, 48), interpolation=cv2.INTER_NEAREST))
    writer.release()
