"""The dataset check: fatal problems all at once; what training skips is counted, exactly as Ultralytics skips it."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from ultralytics.data.utils import verify_image_label

from yoloscale.config.schema import Config, DataConfig, ModelConfig, ShapesConfig, Task
from yoloscale.datasets.check import dataset as check_module
from yoloscale.datasets.check.dataset import check
from yoloscale.datasets.check.labels import LabelRules, read_labels
from yoloscale.datasets.shapes import dataset as shapes
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.prepare import prepare

SMALL = ShapesConfig(train_images=6, val_images=3, image_size=96)
BOX = "0 0.5 0.5 0.2 0.2"


def copy_of_shapes(task: Task, folder: Path, cache: Path) -> Path:
    source = shapes.render(SMALL, task, cache, lambda text: None)
    shutil.copytree(source if task is Task.classify else source.parent, folder)
    return folder if task is Task.classify else folder / "data.yaml"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def copied(tmp_path: Path, cache: Path) -> Callable[[Task], Path]:
    """A fresh copy of the built-in dataset of a task, to spoil."""
    return lambda task: copy_of_shapes(task, tmp_path / "my data", cache)


def problems(source: Path, task: Task, **options: bool) -> list[Problem]:
    with pytest.raises(ConfigError) as raised:
        check(source, task, **options)  # type: ignore[arg-type]
    return list(raised.value.problems)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("task", list(Task))
def test_the_built_in_dataset_is_sound(task: Task, deep: bool, cache: Path) -> None:
    report = check(shapes.render(SMALL, task, cache, lambda text: None), task, deep=deep)
    assert (report.splits["train"].images, report.splits["val"].images) == (6, 3)
    assert report.splits["train"].skipped == ()
    assert report.splits["train"].labelled > 0
    assert report.splits["train"].bytes > 1000
    text = "\n".join(report.lines())
    assert "train: 6 images" in text
    assert type(report).from_json(json.loads(json.dumps(report.as_json()))) == report


def test_objects_are_counted_by_class(copied: Callable[[Task], Path]) -> None:
    source = copied(Task.detect)
    labels = source.parent / "labels" / "train"
    for number, file in enumerate(sorted(labels.iterdir())):
        file.write_text(f"{BOX}\n{BOX}\n1 0.5 0.5 0.1 0.1\n" if number < 2 else "")
    sorted(labels.iterdir())[5].unlink()
    train = check(source, Task.detect).splits["train"]
    assert train.per_class == {"circle": 2, "rectangle": 2}
    assert (train.objects, train.duplicates, train.labelled, train.backgrounds) == (4, 2, 2, 4)
    assert check(source, Task.detect, single_cls=True).splits["train"].per_class == {"item": 4}


def test_a_class_outside_names_is_a_corrupt_label_as_any_other(copied: Callable[[Task], Path]) -> None:
    source = copied(Task.detect)
    file = source.parent / "labels" / "val" / "000001.txt"
    file.write_text(f"\n{BOX}\n4 0.5 0.5 0.1 0.1\n")
    report = check(source, Task.detect)
    val = report.splits["val"]
    image = source.parent / "images" / "val" / "000001.jpg"
    assert val.skipped == (f"{image}: class 4; names ends at 3 ({file} line 3)",)
    assert f"write 0 … 3 there, or add the class to names: in {source}" in val.cure
    assert any(val.cure in line for line in report.warnings())
    assert not check(source, Task.detect, single_cls=True).splits["val"].skipped
    for file in (source.parent / "labels" / "val").iterdir():
        file.write_text("0 0.5 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n")
    (problem,) = problems(source, Task.detect)
    assert "none of the" in problem.found
    assert "line 2: class 7" in problem.found
    assert "0 … 3" in problem.instead


@pytest.mark.parametrize(
    ("made_for", "used_for", "words"),
    [
        (Task.detect, Task.segment, "polygons"),
        (Task.detect, Task.obb, "corners"),
        (Task.detect, Task.semantic, "polygons"),
        (Task.detect, Task.pose, "kpt_shape"),
        (Task.detect, Task.depth, "has no depth map"),
        (Task.semantic, Task.detect, "no image has a label file"),
        (Task.depth, Task.segment, "no image has a label file"),
    ],
)
def test_labels_of_another_task_are_fatal(
    made_for: Task, used_for: Task, words: str, copied: Callable[[Task], Path]
) -> None:
    found = problems(copied(made_for), used_for)
    assert any(words in f"{problem.key} {problem.found} {problem.instead}" for problem in found)


def test_another_number_of_keypoints_is_fatal(copied: Callable[[Task], Path]) -> None:
    source = copied(Task.pose)
    text = source.read_text().replace("- 4\n- 3\n", "- 5\n- 3\n").replace("flip_idx:\n- 0\n- 3\n- 2\n- 1\n", "")
    assert text != source.read_text()
    source.write_text(text)
    assert "labels require 20 columns, not 17" in problems(source, Task.pose)[0].found


def test_everything_wrong_with_the_yaml_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text("train: 7\nkpt_shape: [17]\nnames: {0: a, 2: b}\n")
    keys = {problem.key for problem in problems(file, Task.detect)}
    assert keys == {"data.train", "data.val", "data.kpt_shape", "data.names"}
    for text, words in (("- a\n- b\n", "holds a list"), ("a: [", ":1: the list"), ("", "holds nothing")):
        file.write_text(text)
        assert words in problems(file, Task.detect)[0].found
    assert "cannot be read" in problems(tmp_path / "absent.yaml", Task.detect)[0].found


def test_missing_folders_and_folders_without_images(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text("train: images/train\nval: images/val\nnames: [a]\n")
    (tmp_path / "images" / "val").mkdir(parents=True)
    (tmp_path / "images" / "val" / "notes.md").write_text("no image")
    found = problems(file, Task.detect)
    assert [problem.key for problem in found] == ["data.train", "data.val"]
    assert "there is no" in found[0].found
    assert "no images in" in found[1].found


def test_corrupt_files_are_skipped_counted_and_listed(copied: Callable[[Task], Path]) -> None:
    source = copied(Task.detect)
    images, labels = (source.parent / kind / "train" for kind in ("images", "labels"))
    (labels / "000000.txt").write_text("0 0.5 0.5 0.2\n")
    (images / "000001.jpg").write_bytes(b"")
    (images / "000002.jpg").write_bytes(b"this is no picture")
    cv2.imwrite(str(images / "000003.jpg"), np.zeros((8, 8, 3), np.uint8))
    shallow, deep = check(source, Task.detect), check(source, Task.detect, deep=True)
    skipped = shallow.splits["train"].skipped
    assert [Path(entry.partition(":")[0]).name for entry in skipped] == ["000000.jpg", "000001.jpg", "000002.jpg"]
    assert skipped[0].endswith(f"labels require 5 columns, not 4 ({labels / '000000.txt'} line 1)")
    assert len(deep.splits["train"].skipped) == 4
    assert "smaller than 10" in deep.splits["train"].skipped[3]
    assert any("3 images skipped" in line for line in shallow.lines())


def test_when_nothing_is_left_it_is_fatal(copied: Callable[[Task], Path]) -> None:
    source = copied(Task.detect)
    for file in (source.parent / "labels" / "val").iterdir():
        file.write_text("0 120 80 40 40\n")
    (problem,) = problems(source, Task.detect)
    assert problem.key == "data.val"
    assert "none of the 3 images can be used" in problem.found
    assert "not relative to the image size" in problem.found


def test_a_classification_folder(copied: Callable[[Task], Path]) -> None:
    root = copied(Task.classify)
    assert check(root, Task.classify).splits["train"].per_class == {
        "circle": 2,
        "rectangle": 2,
        "star": 1,
        "triangle": 1,
    }
    (root / "val" / "unicorn").mkdir()
    (root / "val" / "unicorn" / "a.jpg").write_bytes(b"x")
    assert "1 images of val are left out: train/ has no class unicorn" in check(root, Task.classify).notes
    shutil.rmtree(root / "val")
    assert problems(root, Task.classify)[0].key == "data.val"
    shutil.rmtree(root / "train")
    assert [problem.key for problem in problems(root, Task.classify)] == ["data.train", "data.val"]


def test_a_list_of_images_in_a_text_file(copied: Callable[[Task], Path]) -> None:
    source = copied(Task.detect)
    (source.parent / "some.txt").write_text("./images/train/000000.jpg\n./images/train/000003.jpg\n")
    source.write_text(source.read_text().replace("train: images/train", "train: some.txt"))
    assert check(source, Task.detect).splits["train"].images == 2


def test_the_result_is_kept_until_a_file_changes(
    copied: Callable[[Task], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copied(Task.detect)
    first = check(source, Task.detect, cache=tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(check_module, "inspect_image", None)
        assert check(source, Task.detect, cache=tmp_path / "cache") == first
    (source.parent / "labels" / "train" / "000000.txt").write_text("9 0.5 0.5 0.2 0.2\n")
    assert check(source, Task.detect, cache=tmp_path / "cache").splits["train"].skipped
    (source.parent / "labels" / "train" / "000000.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    assert check(source, Task.detect, cache=tmp_path / "cache") != first


def test_a_cache_that_cannot_be_written_costs_speed_only(copied: Callable[[Task], Path], tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    assert check(copied(Task.detect), Task.detect, cache=tmp_path / "cache").splits["train"].images == 6


def test_what_training_skips_is_told_before_it_starts(copied: Callable[[Task], Path], tmp_path: Path) -> None:
    source = copied(Task.detect)
    (source.parent / "labels" / "train" / "000001.txt").write_text("0 0.5 0.5 2.0 0.2\n")
    config = Config(data=DataConfig(source=str(source)), model=ModelConfig(task=Task.detect, architecture="x.yaml"))
    config.paths.cache = str(tmp_path / "cache")
    said: list[str] = []
    prepare(config, said.append)
    assert said[0] == "train: 1 image skipped in training:"
    assert "000001.jpg: coordinates are not relative" in said[1]


def test_nothing_heavy_is_imported(cache: Path) -> None:
    source = shapes.render(SMALL, Task.detect, cache, lambda text: None)
    code = (
        "import sys; from pathlib import Path; from yoloscale.config.schema import Task;"
        f"from yoloscale.datasets.check.dataset import check; check(Path({str(source)!r}), Task.detect);"
        "print([name for name in ('torch', 'ultralytics', 'cv2', 'numpy', 'PIL') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert result.stdout.strip() == "[]"


WRITTEN_BY_HAND = [
    "",
    "\n\n",
    BOX,
    f"\ufeff{BOX}",
    f"{BOX}\n{BOX}",
    "0 0.5 0.5 0.2",
    "0 0.5 0.5 0.2 0.2 0.9",
    "0 0.5 0.5 0.2 x",
    "0 0.5 nan 0.2 0.2",
    "0 0.5 inf 0.2 0.2",
    "0 1e39 0.5 0.2 0.2",
    "0 1.01 0.5 0.2 0.2",
    "0 1.011 0.5 0.2 0.2",
    "0 -0.01 0.5 0.2 0.2",
    "0 -0.02 0.5 0.2 0.2",
    "0 0.5 0.5 -0.005 0.2",
    "0.5 0.5 0.5 0.2 0.2",
    "-1 0.5 0.5 0.2 0.2",
    "3 0.5 0.5 0.2 0.2",
    "7 0.5 0.5 0.2 0.2",
    f"{BOX}\n1 0.5 0.5",
    "0 0.1 0.1 0.9 0.1 0.9 0.9",
    "0 0.1 0.1 0.9 0.1 0.9 0.9 0.2",
    f"0 0.1 0.1 0.9 0.1 0.9 0.9\n{BOX}",
    "0 0.1 0.1 1.05 0.1 0.9 0.9",
    "0 -0.05 0.1 0.9 0.1 0.9 0.9",
    "0 -0.05 0.1 0.0 0.1 0.0 0.9",
    "0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n1 0.1 0.1 0.9 0.1 0.9 0.9",
    "0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9",
    "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 0.6 1",
    "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 1.6 1",
    "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 -0.005 1",
    "0 0.5 0.5 0.2 0.2 0.4 0.4 0.6 0.6",
    "0 0.5 0.5 0.2 0.2 0.4 0.4 -0.005 0.6",
]
RULES = [
    LabelRules(4),
    LabelRules(4, single_class=True),
    LabelRules(4, pose=True, keypoints=2, dimensions=3),
    LabelRules(4, pose=True, keypoints=2, dimensions=2),
    LabelRules(4, keypoints=2, dimensions=3),
]


def _random_texts() -> list[str]:
    """Label files put together at random from plausible pieces, mostly valid ones."""
    chance = random.Random(0)

    def number() -> str:
        odd = ("1.005", "1.02", "-0.005", "-0.02", "nan", "-0", "1", "0", "abc")
        return chance.choice(odd) if chance.random() < 0.02 else f"{chance.random():.4f}"

    def line(width: int) -> str:
        kind = (
            chance.choice(["0", "1", "2", "3", "3.0"]) if chance.random() < 0.95 else chance.choice(["4", "1.5", "-1"])
        )
        return " ".join([kind, *(number() for _ in range(width - 1))])

    texts = []
    for _ in range(400):
        width = chance.choice((5, 5, 7, 9, 11, 8))
        lines = [
            line(width if chance.random() < 0.95 else chance.choice((4, 5, 6, 11))) for _ in range(chance.randint(0, 4))
        ]
        texts.append("\n".join(lines + lines[: chance.randint(0, 1)]))
    return texts


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_what_is_skipped_is_what_ultralytics_skips(rules: LabelRules, tmp_path: Path) -> None:
    image, label = str(tmp_path / "a.png"), tmp_path / "a.txt"
    cv2.imwrite(image, np.zeros((32, 32, 3), np.uint8))
    kept = 0
    for text in [*WRITTEN_BY_HAND, *_random_texts()]:
        label.write_text(text, encoding="utf-8")
        given = (
            image,
            str(label),
            "",
            rules.pose,
            rules.classes,
            rules.keypoints,
            rules.dimensions,
            rules.single_class,
        )
        _, theirs, _, segments, _, *_, corrupt, message = verify_image_label(given)
        ours = read_labels(label.read_text(encoding="utf-8-sig"), rules)
        assert bool(ours.corrupt) == bool(corrupt), (text, ours, message)
        if not corrupt:
            kept += 1
            assert ours.objects == len(theirs), text
            assert ours.polygons == bool(segments), text
            if not rules.single_class:
                assert dict(ours.per_class) == {
                    k: int((theirs[:, 0] == k).sum()) for k in set(theirs[:, 0].astype(int))
                }
    assert kept > 50
