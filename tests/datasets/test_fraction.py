"""`fraction=`: the images that Ultralytics leaves, and a word where classes are lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests import mixed_images

from yoloscale.config.schema import Config, Task
from yoloscale.datasets import fraction as fraction_module
from yoloscale.datasets.check import dataset as check
from yoloscale.datasets.fraction import count, entry, remark
from yoloscale.launch.prepare import prepare

FRACTIONS: list[Any] = [1, 1.0, 0.5, 7, 0.01, 1000, [0.5, 7], [1, 0.5], [0.5, 1, 0], [3, 4, 0.25]]


@pytest.mark.parametrize("fraction", FRACTIONS, ids=repr)
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_images_are_counted_as_ultralytics_counts_them(tmp_path: Path, fraction: Any, split: str) -> None:
    from ultralytics.data.base import BaseDataset
    from ultralytics.data.utils import get_split_fraction

    for number in range(23):
        (tmp_path / f"{number}.png").touch()
    left = get_split_fraction(fraction, split)
    assert entry(fraction, split) == left
    if left:
        theirs = BaseDataset.__new__(BaseDataset)
        theirs.fraction, theirs.prefix = left, ""
        assert count(23, left) == len(theirs.get_img_files(str(tmp_path)))


def by_class(folder: Path, kinds: tuple[int, ...]) -> Path:
    """A dataset whose training images, in the order of their names, hold one box of these classes each."""
    file = mixed_images.render(folder, train=len(kinds), val=3)
    for number, kind in enumerate(kinds):
        (folder / "labels" / "train" / f"{number:04d}.txt").write_text(f"{kind} 0.5 0.5 0.2 0.2\n")
    return file


def said(source: Path, fraction: Any, task: Task = Task.detect, split: str = "train") -> str | None:
    return remark(source, task, split, fraction, check.check(source, task))


@pytest.mark.parametrize(
    ("kinds", "fraction", "expected"),
    [
        ((0, 0, 0, 1, 1, 2), 0.5, "the first 3 of 6 images of train, sorted by path, have 1 of 3 classes (red)"),
        ((0, 0, 0, 1, 1, 2), 4, "the first 4 of 6 images of train, sorted by path, have 2 of 3 classes (red, green)"),
        ((2, 2, 0, 0), [0.5, 1.0], "the first 2 of 4 images of train, sorted by path, have 1 of 2 classes (blue)"),
        ((0, 1, 2, 0, 1, 2), 0.5, None),
        ((0, 0, 0, 1, 1, 2), 1.0, None),
        ((0, 0, 0, 1, 1, 2), 600, None),
        ((1, 1, 1, 1), 0.5, None),
    ],
)
def test_lost_classes_are_told(tmp_path: Path, kinds: tuple[int, ...], fraction: Any, expected: str | None) -> None:
    line = said(by_class(tmp_path, kinds), fraction)
    assert (line is None) if expected is None else (line is not None and expected in line and "FILE.txt" in line)


def test_the_evaluated_split_is_told_of_by_its_own_entry(tmp_path: Path) -> None:
    source = by_class(tmp_path, (0, 1, 2))
    for number, kind in enumerate((0, 1, 2)):
        (tmp_path / "labels" / "val" / f"{number:04d}.txt").write_text(f"{kind} 0.5 0.5 0.2 0.2\n")
    assert said(source, 0.5, split="val") is None, "a single number is for training"
    assert "the first 2 of 3 images of val" in str(said(source, [1.0, 2], split="val"))


def test_it_is_said_before_the_start_and_once(tmp_path: Path) -> None:
    config = Config(fraction=0.5)
    config.model.task, config.model.architecture = Task.detect, "yolo26n.yaml"
    config.data.source, config.data.shapes = str(by_class(tmp_path / "data", (0, 0, 1, 1))), None
    config.paths.cache = str(tmp_path / "cache")
    lines: list[str] = []
    prepare(config, lines.append)
    assert len([line for line in lines if line.startswith("fraction:")]) == 1


def test_a_dataset_without_val_may_evaluate_its_test(tmp_path: Path) -> None:
    source = by_class(tmp_path, (0, 1, 2))
    for number in range(3):
        (tmp_path / "labels" / "val" / f"{number:04d}.txt").write_text(f"{number} 0.5 0.5 0.2 0.2\n")
    source.write_text(source.read_text().replace("val: images/val", "val:\ntest: images/val"))
    report = check.check(source, Task.detect, split="test")
    assert "the first 2 of 3 images of test" in str(remark(source, Task.detect, "test", [1.0, 1.0, 2], report))


def test_no_label_is_read_where_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = by_class(tmp_path, (0, 0, 1, 1))
    report = check.check(source, Task.detect)
    monkeypatch.setattr(fraction_module, "_READS", 1)
    monkeypatch.setattr(fraction_module, "_classes_of", lambda *_: pytest.fail("labels were read"))
    assert remark(source, Task.detect, "train", 2, report) is None
