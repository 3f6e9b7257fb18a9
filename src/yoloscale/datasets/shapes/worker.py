"""`python -m yoloscale.datasets.shapes.worker FOLDER PART PARTS`: render each PARTS-th image, from PART on.

Which process renders an image makes no difference to it. Prints the number of images done since the last line.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from yoloscale.config.schema import LabelKind, ShapesConfig, Task
from yoloscale.datasets.shapes import labels
from yoloscale.datasets.shapes import render as shapes_render
from yoloscale.datasets.shapes.classes import CLASSES
from yoloscale.datasets.shapes.dataset import OPTIONS_FILE
from yoloscale.datasets.shapes.scene import Layout, compose, generator

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]
_REPORT_EVERY = 10


def render(root: Path, options: ShapesConfig, task: Task, split: str, index: int) -> None:
    """Write one image and its label; both depend on (seed, split, index), the size and the task, and nothing else."""
    layout = Layout.single if task.label_kind is LabelKind.folders else Layout.scattered
    scene = compose(options.seed, split, index, options.image_size, layout)
    image = shapes_render.paint(scene, generator(options.seed, split, index, 1))
    name = f"{index:06d}"
    if task.label_kind is LabelKind.folders:
        _write(root / split / CLASSES[index % len(CLASSES)] / f"{name}.jpg", image, _JPEG)
        return
    _write(root / "images" / split / f"{name}.jpg", image, _JPEG)
    if task.label_kind is LabelKind.masks:
        _write(root / "masks" / split / f"{name}.png", shapes_render.class_mask(scene))
    elif task.label_kind is LabelKind.depth:
        millimetres = np.rint(shapes_render.depth_map(scene) * 1000).astype(np.uint16)
        _write(root / "depth" / split / f"{name}.png", millimetres)
    else:
        text = "".join(line + "\n" for line in labels.lines(scene, task))
        (root / "labels" / split / f"{name}.txt").write_text(text, encoding="ascii")


def _write(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16], options: Sequence[int] = ()) -> None:
    done, content = cv2.imencode(path.suffix, image, options)
    if not done:
        raise OSError(f"cannot encode {path}")
    path.write_bytes(content.tobytes())


def _make_folders(root: Path, task: Task) -> None:
    for split in ("train", "val"):
        if task.label_kind is LabelKind.folders:
            folders = [root / split / name for name in CLASSES]
        else:
            kind = {LabelKind.masks: "masks", LabelKind.depth: "depth"}.get(task.label_kind, "labels")
            folders = [root / "images" / split, root / kind / split]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)


def report(done: int, mine: int) -> bool:
    """Tell now and then how many of this process' images are done; whether anybody still waits for them."""
    if done % _REPORT_EVERY and done < mine:
        return True
    if _abandoned():
        return False
    count = (done - 1) % _REPORT_EVERY + 1
    os.write(sys.stdout.fileno(), f"{count}\n".encode())  # in one piece: all workers write to one pipe
    return True


def _abandoned() -> bool:
    """Whether the process that started this one is gone: its end of the pipe to standard input is closed."""
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1)


def main(root: Path, part: int, parts: int) -> None:
    """Render images number `part`, `part + parts`, … of the dataset whose options lie in `root`."""
    cv2.setNumThreads(1)
    described = json.loads((root / OPTIONS_FILE).read_text(encoding="utf-8"))
    described.pop("version")
    task = Task(described.pop("task"))
    options = ShapesConfig(**described)
    counts = {"train": options.train_images, "val": options.val_images}
    mine = [(split, index) for split, count in counts.items() for index in range(count)][part::parts]
    _make_folders(root, task)
    for done, (split, index) in enumerate(mine, start=1):
        render(root, options, task, split, index)
        if not report(done, len(mine)):
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
