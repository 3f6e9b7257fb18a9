"""A small dataset of images of several shapes: coloured boxes on grey noise, three classes by colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SIZES = ((64, 128), (128, 64), (128, 128), (96, 128), (128, 40))  # height, width
COLOURS = ((30, 30, 220), (30, 220, 30), (220, 30, 30))


def render(folder: Path, train: int, val: int, sizes: Sequence[tuple[int, int]] = SIZES, seed: int = 0) -> Path:
    """Images and labels in `folder`, in turn of these sizes; returns the dataset's YAML."""
    import cv2
    import numpy as np

    generator = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(count):
            height, width = sizes[number % len(sizes)]
            picture = generator.integers(90, 150, (height, width, 3), np.uint8)
            lines = []
            for _ in range(generator.integers(1, 4)):
                kind = int(generator.integers(0, 3))
                h, w = (int(generator.integers(side // 5, side // 2)) for side in (height, width))
                y, x = int(generator.integers(0, height - h)), int(generator.integers(0, width - w))
                picture[y : y + h, x : x + w] = COLOURS[kind]
                lines.append(f"{kind} {(x + w / 2) / width} {(y + h / 2) / height} {w / width} {h / height}")
            assert cv2.imwrite(str(images / f"{number:04d}.png"), picture)
            (labels / f"{number:04d}.txt").write_text("\n".join(lines) + "\n")
    file = folder / "data.yaml"
    file.write_text(f"path: {folder}\ntrain: images/train\nval: images/val\nnames: [red, green, blue]\n")
    return file
