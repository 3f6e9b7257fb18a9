"""One image of a dataset and its label, judged by the rules of Ultralytics, so that every rank skips the same."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from yoloscale.config.schema import LabelKind, Task
from yoloscale.datasets.check import images
from yoloscale.datasets.check.images import Opened
from yoloscale.datasets.check.labels import LabelRules, Labels, read_labels
from yoloscale.datasets.check.yaml import DatasetYaml
from yoloscale.datasets.file_kinds import HEAD_BYTES, other_file


@dataclass(frozen=True)
class ImageCheck:
    """One image: why it is skipped (empty if it is not) and what its label holds; None where there is no label."""

    image: str
    bytes: int
    skipped: str
    labels: Labels | None = None
    label_file: str = ""
    rewritten: bool = False  # by Ultralytics, in place
    is_passing: bool = False  # the file system has failed: the ranks may read it

    def why(self) -> str:
        """`skipped` with the file and the line that is to be mended."""
        if self.labels is None or not self.labels.corrupt:
            return self.skipped
        line = f" line {self.labels.line}" if self.labels.line else ""
        return f"{self.skipped} ({self.label_file}{line})"


def label_path(image: str, dataset: DatasetYaml, task: Task) -> str | None:
    """The file beside an image that training reads; for masks and depth maps None if there is none."""
    if task.label_kind is LabelKind.depth:
        return images.find_depth(image)
    if task.label_kind is LabelKind.masks and dataset.masks_dir:
        return images.find_mask(image, dataset.masks_dir)
    return images.companion(image, "labels", ".txt")


def inspect_image(image: str, dataset: DatasetYaml, task: Task, rules: LabelRules, deep: bool) -> ImageCheck:
    """Judge an image and its label; `deep` opens both as pictures."""
    alone = judge_alone(image, deep)
    if alone.skipped:
        return alone
    kind = task.label_kind
    try:
        path = label_path(image, dataset, task)
        if kind is LabelKind.depth or (kind is LabelKind.masks and dataset.masks_dir):
            what = "depth map" if kind is LabelKind.depth else "mask"
            reason = f"has no {what}" if path is None else _judge_picture(path, image, dataset, task) if deep else ""
            return ImageCheck(image, alone.bytes, reason, Labels(), path or "", alone.rewritten)
        assert path is not None
        labels = _read(path, rules)
    except OSError as error:
        return ImageCheck(image, alone.bytes, f"its label cannot be read: {error.strerror}", is_passing=True)
    return ImageCheck(image, alone.bytes, labels.corrupt if labels else "", labels, path, alone.rewritten)


def judge_alone(image: str, deep: bool) -> ImageCheck:
    """Judge an image without a label."""
    try:
        size = os.stat(image).st_size  # noqa: PTH116  # a Path for each of millions of files costs more
        opened = Opened("is empty") if not size else (images.open_image if deep else images.glance)(image)
    except OSError as error:
        path, reason = Path(image), f"cannot be read: {error.strerror}"
        if path.is_symlink() and not path.exists():
            reason = f"is a link to {path.readlink()}, which does not exist"
        return ImageCheck(image, 0, reason, is_passing=images.is_passing(error))
    return ImageCheck(image, size, opened.skipped, rewritten=opened.rewritten)


def _judge_picture(path: str, image: str, dataset: DatasetYaml, task: Task) -> str:
    shape = images.open_image(image).shape
    if task.label_kind is LabelKind.depth:
        return images.open_depth(path, shape)
    largest = max(len(dataset.names) - 1, 1)
    mapped = {value: dataset.label_mapping.get(value, value) for value in range(256)}
    return images.open_mask(path, shape, frozenset(v for v, to in mapped.items() if to <= largest or to == 255))


def _read(path: str, rules: LabelRules) -> Labels | None:
    """What a label file holds; None where there is none. Raises OSError if the file system fails."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return Labels(corrupt=str(error))
    except OSError as error:
        if images.is_passing(error):
            raise
        return Labels(corrupt=str(error)) if Path(path).is_file() else None
    labels = read_labels(text, rules)
    if labels.corrupt and (other := other_file(path, text[:HEAD_BYTES].encode())):
        return Labels(corrupt=f"its label {other.what}")
    return labels
