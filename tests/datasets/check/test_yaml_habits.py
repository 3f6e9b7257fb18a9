"""Dataset YAMLs as public repositories have them, rebuilt: taken as Ultralytics takes them, or cause and cure.

Each stands for a habit: an exporter's layout, a notebook's string, another system's path, a template half filled in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from ultralytics.data.utils import check_det_dataset

from yoloscale.config.schema import DataConfig, Task
from yoloscale.datasets import sources
from yoloscale.datasets.check import dataset
from yoloscale.errors import ConfigError

BOX = "0 0.5 0.5 0.2 0.2"
LAYOUTS = {
    "images/split": ("images/{}", "labels/{}"),
    "split/images": ("{}/images", "{}/labels"),
    "beside": ("{}", "{}"),  # a label beside its image
}


@dataclass(frozen=True)
class Habit:
    """A YAML's text with `{root}` for its folder, how the images lie, and what is said of it (empty: it trains)."""

    name: str
    text: str
    said: tuple[str, ...] = ()
    layout: str = "split/images"
    validation: str = "valid"
    where: str = "."  # the working folder, from the YAML's
    task: Task = Task.detect
    line: str = BOX
    lists: bool = False  # train.txt and val.txt beside the YAML, as paths from there
    names: tuple[str, ...] = ()  # of the classes, where they are worth a look


ROBOFLOW = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\n"
HABITS = [
    Habit(
        "an exporter's, with a word on where it comes from",
        f"{ROBOFLOW}nc: 1\nnames: ['stop sign']\n\nroboflow:\n  workspace: w\n  version: 6\n  license: CC BY 4.0\n",
        names=("stop sign",),
    ),
    Habit(
        "names first, keys in the order of the alphabet",
        "names:\n- Stop Sign\nnc: 1\ntest: ../test/images\ntrain: ../train/images\nval: ../valid/images\n",
    ),
    Habit(
        "comments in other scripts, a list over several lines",
        f"{ROBOFLOW}nc: 2  # Número de clases\nnames: ['Borrador de ballena',\n        'cartera']  # 类别\n",
        names=("Borrador de ballena", "cartera"),
    ),
    Habit(
        "a task that nobody reads",
        "path: {root}\ntrain: train/images\nval: valid/images\nnc: 1\nnames: ['room']\n\n# Task\ntask: detect\n",
    ),
    Habit(
        "train and val from the YAML's folder with ./ before",
        "train: ./train/images\nval: ./valid/images\nnc: 1\nnames: [a]\n",
    ),
    Habit(
        "a path from the working folder",
        "path: set\ntrain: train/images\nval: valid/images\nnames:\n 0: a\n",
        where="..",
    ),
    Habit(
        "the same from another folder",
        "path: set\ntrain: train/images\nval: valid/images\nnames:\n 0: a\n",
        ("data.yaml:1", "set", "path:"),
        where="train",
    ),
    Habit(
        "path: ./ and lists, from the YAML's folder",
        "path: ./\ntrain: train.txt\nval: val.txt\nnc: 2\nnames: ['snow', 'ice']\n",
        lists=True,
    ),
    Habit(
        "path: ./ and lists, from another folder",
        "path: ./\ntrain: train.txt\nval: val.txt\nnc: 2\nnames: ['snow', 'ice']\n",
        ("data.yaml:1", "train.txt"),
        lists=True,
        where="..",
    ),
    Habit(
        "a template with its path not filled in",
        "path: /the/path/before/your/train_and_val\ntrain: ./train\nval: ./valid\nnc: 1\nnames: [a]\n",
        ("data.yaml:1", "/the/path/before"),
    ),
    Habit(
        "a notebook's folder",
        "train: /content/datasets/signs/train/images\nval: /content/datasets/signs/valid/images\nnc: 1\nnames: [a]\n",
        ("data.yaml:1", "/content/datasets"),
    ),
    Habit(
        "a drive of Windows",
        "train: D:\\Projects\\Fox\\train\\images\nval: D:\\Projects\\Fox\\valid\\images\nnc: 1\nnames: [a]\n",
        ("data.yaml:1", "Windows"),
    ),
    Habit(
        "the same with its backslashes doubled",
        "path: D:\\\\YOLO\\\\set\ntrain: train\nval: val\nnc: 1\nnames: [a]\n",
        ("data.yaml:1", "Windows"),
    ),
    Habit(
        "the same in double quotes",
        'train: "D:\\new\\train"\nval: "D:\\new\\valid"\nnc: 1\nnames: [a]\n',
        ("data.yaml:1", "double quotes", "write train: train"),
    ),
    Habit(
        "a path of another machine's home",
        "path: /home/windows_11/helmets\ntrain: images/train\nval: images/valid\nnames:\n- no_helmet\n- no_gloves\n",
        ("data.yaml:1", "/home/windows_11"),
    ),
    Habit(
        "spaces and brackets in a path",
        "path: {root}\ntrain: {root}/out (1)/29-17/train\nval: {root}/out (1)/29-17/valid\nnames:\n  0: 0\n  1: 1\n",
        layout="out (1)/29-17",
        names=("0", "1"),
    ),
    Habit(
        "braces around the whole", "{{\n" + ROBOFLOW + "nc: 1\nnames: ['a']\n}}\n", ("data.yaml:1", "leave { and } out")
    ),
    Habit(
        "classes not indented",
        "train: train/images\nval: valid/images\nnc: 2\nnames:\n0: person\n1: bicycle\n",
        ("data.yaml:4", "not indented", "names: {0: person, 1: bicycle}"),
    ),
    Habit(
        "words behind a quoted name",
        f"{ROBOFLOW}# nc: 1\nnames: \n  0: 'person'(base)\n",
        ("data.yaml:7", "behind the closing quote", "write 0: 'person(base)'"),
    ),
    Habit(
        "an exporter's list of strange names",
        f"{ROBOFLOW}nc: 3\nnames: ['* annotate, and create datasets', 'bike', '-']\n",
        names=("* annotate, and create datasets", "bike", "-"),
    ),
    Habit("the same without quotes", f"{ROBOFLOW}nc: 2\nnames: [* annotate, bike]\n", ("data.yaml:6", "'* annotate'")),
    Habit("trained and evaluated on the same images", "train: train/images\nval: train/images\nnc: 1\nnames: [a]\n"),
    Habit(
        "one class fewer than the labels have",
        f"{ROBOFLOW}nc: 1\nnames: [a]\n",
        ("class", "1"),
        line="1 0.5 0.5 0.2 0.2",
    ),
    Habit(
        "keypoints without flip_idx",
        "path: {root}\ntrain: train/images\nval: valid/images\nnames:\n  0: wheel_housing\nkpt_shape: [2, 3]\n",
        task=Task.pose,
        line=f"{BOX} 0.4 0.4 2 0.6 0.6 1",
    ),
    Habit(
        "keypoints that stay where they are when flipped",
        "train: train/images\nval: valid/images\nnames: [gate]\nkpt_shape: [2,2]\nflip_idx: [0, 1]\n",
        task=Task.pose,
        line=f"{BOX} 0.4 0.4 0.6 0.6",
    ),
    Habit(
        "a number of classes that the names do not have",
        f"{ROBOFLOW}nc: 80\nnames: ['License_Plate']\n",
        ("data.yaml:5", "80"),
    ),
    Habit(
        "images in JPEGImages-like folders, labels beside them",
        "path: {root}\ntrain: train\nval: valid\nnc: 1\nnames: [box]\n",
        layout="beside",
    ),
    Habit(
        "a folder of both splits as one list",
        "path: {root}\ntrain:\n  - train/images\n  - valid/images\nval: valid/images\nnames: [a]\n",
    ),
    Habit(
        "a validation set that nobody made",
        "train: train/images\nval: val/images\nnames: [a]\n",
        ("data.yaml:2", "val/images", "valid"),
    ),
    Habit(
        "spaces before every key, as a notebook indents it",
        "    train: train/images\n    val: valid/images\n    nc: 1\n    names: ['a']\n    ",
    ),
]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Habit], Path]:
    """Make a habit's YAML and images, and go to its working folder; the YAML as a person names it from there."""

    def make(habit: Habit) -> Path:
        root = tmp_path / "set"
        for number, split in enumerate(("train", "valid", "test")):
            images, labels = _folders(root, habit.layout, split)
            for place in (images, labels):
                place.mkdir(parents=True, exist_ok=True)
            for index in range(2):
                noise = np.random.default_rng(10 * number + index).integers(0, 255, (32, 32, 3), dtype=np.uint8)
                cv2.imwrite(str(images / f"{split}-{index}.jpg"), noise)
                (labels / f"{split}-{index}.txt").write_text(f"{habit.line}\n")
        if habit.lists:
            for name, split in (("train", "train"), ("val", "valid")):
                (root / f"{name}.txt").write_text("".join(f"./{split}/images/{split}-{i}.jpg\n" for i in range(2)))
        (root / "data.yaml").write_text(habit.text.format(root=root))
        monkeypatch.chdir(root / habit.where)
        return root / "data.yaml"

    return make


def _folders(root: Path, layout: str, split: str) -> tuple[Path, Path]:
    if layout in LAYOUTS:
        images, labels = (part.format(split) for part in LAYOUTS[layout])
        return root / images, root / labels
    return root / layout / split, root / layout / split


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.name)
def test_it_trains_or_says_why_not(habit: Habit, build: Callable[[Habit], Path], tmp_path: Path) -> None:
    file = build(habit)
    data = DataConfig(name="set", source=str(file))
    reads = None
    try:
        source = sources.prepare(data, habit.task, tmp_path / "cache", lambda _: None, reads)
        report = dataset.check(source, habit.task)
        said = ""
    except ConfigError as error:
        said = str(error)
    if not habit.said:
        assert said == ""
        assert report.splits["train"].images >= 2
        assert report.splits["train"].skipped == ()
        if habit.names:
            assert tuple(report.names) == habit.names
        assert check_det_dataset(str(file), autodownload=False)["nc"] == len(report.names)
        return
    assert said
    assert [word for word in habit.said if word not in said] == [], said
