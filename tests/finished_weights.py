"""Weights without numbers, and images, for tests that only launch: what the launcher reads of them is there."""

from __future__ import annotations

import zipfile
from pathlib import Path

from PIL import Image


def write_weights(path: Path, *, imgsz: int = 320, comment: str = "", model_class: str = "DetectionModel") -> Path:
    """A `.pt` file whose structure says its class and that it was trained at that size."""
    arguments = f"S'train_args'\n(dS'imgsz'\nI{imgsz}\nss"
    model = f"S'model'\ncultralytics.nn.tasks\n{model_class}\n)\x81s"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", f"(d{model}{arguments}.".encode("latin-1"))
        archive.writestr("archive/comment", comment)
    return path


def write_images(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (8, 8), (number % 256, 0, 0)).save(folder / f"{number:03}.png")
    return folder
