"""`fraction=`: which images of a split it leaves, and whether classes are lost with the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yoloscale.config.schema import LabelKind, Task
from yoloscale.datasets.check import images as check_images
from yoloscale.datasets.check import yaml
from yoloscale.datasets.check.report import DatasetReport
from yoloscale.datasets.ultralytics_paths import datasets_folder

_SPLITS = ("train", "val", "test")
_READS = 20_000  # label files; rather no word than a start that waits for more


def entry(fraction: Any, split: str) -> float | int:
    """What a split is left: a count, or a share that is 1.0 for all; a single number is for training only."""
    if isinstance(fraction, list) and split in _SPLITS:
        index = _SPLITS.index(split)
        fraction = fraction[index] if index < len(fraction) else 1.0
    elif split != "train":
        fraction = 1.0
    return float(fraction) if fraction in (0, 1) else fraction


def count(images: int, left: float | int) -> int:
    """How many of the images that are, as Ultralytics counts them."""
    return min(left if isinstance(left, int) else max(1, round(images * left)), images)


def remark(source: Path, task: Task, split: str, fraction: Any, report: DatasetReport) -> str | None:
    """A line if the images that are left lack classes that the split has; None if they do not, or it costs much.

    The first ones by path are left, so a dataset that is sorted by class loses some. Classification takes images from
    all over the set; masks and depth maps are not opened for this.
    """
    left = entry(fraction, split)
    classes = [name for name, objects in report.splits[split].per_class.items() if objects]
    if left == 1.0 or len(classes) < 2 or task.label_kind in (LabelKind.folders, LabelKind.depth):
        return None
    dataset = yaml.read(source, datasets_folder, yaml.Reads(task, split, flips=False))
    if task.label_kind is LabelKind.masks and dataset.masks_dir:
        return None
    images = sorted(check_images.list_images(dataset.splits[split]))
    first = images[: count(len(images), left)]
    if len(first) > _READS:
        return None
    seen = _classes_of(first, len(classes))
    if len(seen) >= len(classes):
        return None
    names = [dataset.names.get(index, str(index)) for index in sorted(seen)]
    has = f"{len(names)} of {len(classes)} classes" + (f" ({', '.join(names[:5])}{', …' if names[5:] else ''})")
    return (
        f"fraction: the first {len(first)} of {len(images)} images of {split}, sorted by path, have {has}; "
        f"for others, list images in a text file and write {split}: FILE.txt in {source.name}"
    )


def _classes_of(images: Sequence[str], enough: int) -> set[int]:
    """Classes in the label files of these images; reads on until there are so many."""
    classes = set[int]()
    for image in images:
        try:
            text = Path(check_images.companion(image, "labels", ".txt")).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue  # the check has counted it
        for line in text.splitlines():
            try:
                classes.add(int(float(line.split()[0])))
            except (ValueError, IndexError, OverflowError):
                continue
        if len(classes) >= enough:
            break
    return classes
