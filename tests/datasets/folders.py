"""Small datasets on disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def dataset_in(folder: Path, images: int = 2) -> Path:
    """Images and labels below `folder`: images/train/0.png …, labels/train/0.txt …; returns the folder."""
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for number in range(images):
            cv2.imwrite(str(folder / "images" / split / f"{number}.png"), np.zeros((16, 16, 3), np.uint8))
            (folder / "labels" / split / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    return folder
