"""Classification folders: the check counts the classes that the ranks train, and splits what nobody has split."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import ClassificationDataset
from ultralytics.data.split import split_classify_dataset
from ultralytics.data.utils import check_cls_dataset
from ultralytics.utils import DEFAULT_CFG

from yoloscale.config.schema import DataConfig, Task
from yoloscale.datasets import class_split, sources
from yoloscale.datasets.check.dataset import check
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.remarks import silent
from yoloscale.yolo import datasets


def folders(root: Path, images: Mapping[str, int]) -> Path:
    """Class folders with so many images each."""
    for name, count in images.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            noise = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
            cv2.imwrite(str(root / name / f"{number:02d}.jpg"), noise)
    return root


def trained(root: Path, split: str, *, single_cls: bool = False) -> tuple[dict[int, str], Counter[int], Counter[int]]:
    """Names, and images by class of train and `split`, as Ultralytics' own trainer takes them."""
    data = check_cls_dataset(str(root), split=split)
    names = {0: "item"} if single_cls else data["names"]
    args: Any = get_cfg(DEFAULT_CFG, {"task": "classify", "single_cls": single_cls})
    counts = [
        Counter(sample[1] for sample in ClassificationDataset(str(data[name]), args, names=names).samples)
        for name in ("train", split)
    ]
    return names, counts[0], counts[1]


LAYOUTS: dict[str, dict[str, int]] = {
    "plain": {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 2},
    "only in val": {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 1, "val/other": 2},
    "first only in val": {"train/cat": 3, "train/dog": 2, "val/ant": 1, "val/dog": 1},
    "hidden": {"train/.ipynb_checkpoints": 1, "train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 2},
    "hidden and empty": {"train/.cache": 0, "train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 2},
    "empty in train": {"train/cat": 3, "train/dog": 2, "train/elk": 0, "val/cat": 1, "val/elk": 2},
    "empty in val": {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 0},
    "validation": {"train/a b": 3, "train/C": 2, "validation/a b": 1, "validation/C": 1, "test/C": 2},
    "test for val": {"train/1": 3, "train/10": 2, "train/2": 2, "test/10": 2, "test/2": 1},
    "nested": {"train/cat/big": 2, "train/cat/small": 1, "train/dog": 2, "val/cat/big": 1, "val/dog": 1},
}


@pytest.mark.parametrize("single_cls", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_check_counts_what_the_ranks_train(layout: str, single_cls: bool, tmp_path: Path) -> None:
    root = folders(tmp_path / "data", LAYOUTS[layout])
    (root / "train" / "readme.txt").write_text("no class")
    shutil.copy(next((root / "train").rglob("*.jpg")), root / next(iter(LAYOUTS[layout])) / ".hidden.jpg")
    report = check(root, Task.classify, single_cls=single_cls)
    names, train, val = trained(root, "val", single_cls=single_cls)
    assert report.names == tuple(names.values())
    for split, theirs in (("train", train), ("val", val)):
        assert report.splits[split].per_class == {name: theirs[index] for index, name in names.items()}, split


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("only in val", "2 images of val are left out: train/ has no class other"),
        ("hidden", "the hidden folder train/.ipynb_checkpoints (1 images) is a class"),
        ("hidden and empty", "the hidden folder train/.cache (no images) is a class"),
        ("empty in train", "train has no images of elk: a class all the same"),
        ("empty in val", "val has no images of dog"),
    ],
)
def test_what_a_person_may_not_expect_is_told(layout: str, words: str, tmp_path: Path) -> None:
    root = folders(tmp_path / "data", LAYOUTS[layout])
    assert any(line.startswith(words) for line in check(root, Task.classify).warnings())


def problems(root: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as raised:
        check(root, Task.classify)
    return raised.value.problems


def test_classes_of_other_names_in_val_are_refused(tmp_path: Path) -> None:
    """Ultralytics would number them by their own order."""
    (problem,) = problems(folders(tmp_path, {"train/a": 2, "train/b": 2, "val/x": 2, "val/y": 2}))
    assert problem.key == "data.val"
    assert "none of the classes of train/ (a, b), but x, y" in problem.found


def test_a_rank_that_counts_other_classes_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folders(tmp_path, LAYOUTS["plain"])
    check_them = datasets._refuse_other_classes
    check_them(root, ("cat", "dog"))
    with pytest.raises(ConfigError, match="cat, dog, elk"):
        check_them(root, ("cat", "dog", "elk"))


@pytest.mark.parametrize(
    "layout",
    [{"cat": 10, "dog": 7}, {"a": 1, "b": 4, "c c": 5}, {"x/inner": 6, "x/other": 5, "y": 9, ".z": 3}],
    ids=str,
)
def test_class_folders_are_split_as_ultralytics_splits_them(layout: dict[str, int], tmp_path: Path) -> None:
    root = folders(tmp_path / "data", layout)
    before = sorted(root.rglob("*"))
    said: list[str] = []
    config = DataConfig(source=str(root))
    split = sources.prepare(config, Task.classify, tmp_path / "cache", said.append)
    assert sources.locate(config, Task.classify, tmp_path / "cache") == split
    assert sorted(root.rglob("*")) == before
    assert split.is_relative_to(tmp_path / "cache")
    assert "images are trained on" in said[0]
    theirs = split_classify_dataset(root)
    ours, expected = (
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix == ".jpg")
        for folder in (split, theirs)
    )
    assert ours == expected
    assert check(split, Task.classify).splits["train"].images > 0


def test_splits_in_capitals_are_no_classes(tmp_path: Path) -> None:
    root = folders(tmp_path / "my pets", {"Train/cat": 2, "Train/dog": 2, "Val/cat": 1, "Val/dog": 1})
    with pytest.raises(ConfigError) as raised:
        class_split.prepare(root, tmp_path / "cache", silent)
    subprocess.run(["bash", "-c", raised.value.problems[0].instead], check=True)
    assert check(root, Task.classify).splits["val"].per_class == {"cat": 1, "dog": 1}


@pytest.mark.parametrize("layout", [{"Bus": 5, "Car": 5, "Train": 5}, {"Bus": 5, "Train": 5, "Train/old": 5}], ids=str)
def test_a_class_may_be_called_as_a_split(layout: dict[str, int], tmp_path: Path) -> None:
    root = folders(tmp_path / "vehicles", layout)
    split = class_split.prepare(root, tmp_path / "cache", silent)
    assert {folder.name for folder in (split / "train").iterdir()} == {path.name for path in root.iterdir()}


@pytest.mark.parametrize("layout", [{"Train": 2, "Val": 2}, {"Train/cat": 2, "Train/dog": 2, "more": 2}], ids=str)
def test_what_is_called_as_a_split_and_is_no_class_is_refused(layout: dict[str, int], tmp_path: Path) -> None:
    root = folders(tmp_path / "data", layout)
    with pytest.raises(ConfigError, match=r"holds Train/.*: they would be classes"):
        class_split.prepare(root, tmp_path / "cache", silent)


@pytest.mark.parametrize(
    ("layout", "found", "instead"),
    [
        ({"train/cat": 2, "train/dog": 2}, "has no folder val/", "write data={root}/train, of which 80 % "),
        ({"train": 2, "val": 2}, "{root}/train holds no class folders", "put images into {root}/train/CLASS/"),
        ({"test/cat": 2, "val/dog": 2}, "has no folder train/", "put images into {root}/train/CLASS/"),
    ],
)
def test_folders_that_cannot_be_trained_on_are_one_problem(
    layout: dict[str, int], found: str, instead: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        check(folders(tmp_path / "pets", layout), Task.classify)
    (problem,) = raised.value.problems
    assert found.format(root=tmp_path / "pets") in problem.found
    assert problem.instead.startswith(instead.format(root=tmp_path / "pets"))


def test_another_image_makes_another_split(tmp_path: Path) -> None:
    root = folders(tmp_path / "data", {"cat": 5, "dog": 5})
    cache = tmp_path / "cache"
    first = class_split.prepare(root, cache, lambda line: None)
    assert class_split.prepare(root, cache, lambda line: None) == first
    shutil.copy(root / "cat" / "00.jpg", root / "cat" / "99.jpg")
    with pytest.raises(ConfigError, match="not there yet"):
        sources.locate(DataConfig(source=str(root)), Task.classify, cache)
    assert class_split.prepare(root, cache, lambda line: None) != first


def test_a_folder_with_one_folder_names_the_one_that_is_meant(tmp_path: Path) -> None:
    folders(tmp_path / "outer" / "inner", {"cat": 5, "dog": 5})
    with pytest.raises(ConfigError) as raised:
        sources.prepare(DataConfig(source=str(tmp_path / "outer")), Task.classify, tmp_path / "cache", print)
    assert f"write data={tmp_path}/outer/inner" in raised.value.problems[0].instead


@pytest.mark.parametrize("layout", [{"cat": 2, "dog": 2}, {"train/a": 2, "train/b": 2, "val/a": 1}], ids=str)
@pytest.mark.parametrize("task", [Task.detect, Task.pose])
def test_class_folders_for_another_task_name_the_model(layout: dict[str, int], task: Task, tmp_path: Path) -> None:
    root = folders(tmp_path / "data", layout)
    with pytest.raises(ConfigError) as raised:
        sources.locate(DataConfig(source=str(root)), task, tmp_path / "cache")
    assert raised.value.problems[0].key == "model"
    assert "model=yolo26n-cls" in raised.value.problems[0].instead
