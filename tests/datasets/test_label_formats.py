"""Labels in other formats or other places: the cause, with file and line, and the cure."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from yoloscale.config.schema import Task
from yoloscale.datasets.check.dataset import check
from yoloscale.datasets.check.labels import LabelRules, read_labels
from yoloscale.datasets.check.problems import problems_of_splits
from yoloscale.datasets.check.verdict import ImageCheck
from yoloscale.datasets.label_formats import Setting
from yoloscale.errors import ConfigError, Problem

BOX = "0 0.5 0.5 0.2 0.2"


def dataset(root: Path, label: str = BOX, *, images: str = "images", extra: str = "") -> Path:
    """Two images of 200 x 100 pixels in train and in val, each with the label."""
    for split in ("train", "val"):
        folder, labels = root / images / split, root / "labels" / split
        folder.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(2):
            cv2.imwrite(str(folder / f"{split}{number}.jpg"), np.zeros((100, 200, 3), np.uint8))
            (labels / f"{split}{number}.txt").write_text(f"{label}\n")
    source = root / "data.yaml"
    source.write_text(f"train: {images}/train\nval: {images}/val\nnames: [cat, traffic light]\n{extra}")
    return source


def problems(source: Path, task: Task = Task.detect) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as raised:
        check(source, task)
    return raised.value.problems


@pytest.mark.parametrize(
    ("task", "label", "found", "cure"),
    [
        (
            Task.detect,
            f"{BOX} 0.87",
            "line 1: labels require 5 columns, not 6: column 6 looks like a confidence",
            "sed",
        ),
        (
            Task.detect,
            f"{BOX}\n1 0.2 0.2 0.1 0.1 0.5",
            "line 2: lines have different numbers",
            "class x y width height",
        ),
        (Task.detect, f"{BOX} 12", "column 6 looks like a track", "sed"),
        (Task.detect, f"{BOX} 0.87 12", "columns 6 and 7 look like a confidence and a track", "sed"),
        (Task.detect, "0 20 10 120 60", "pixels of an image of 200 x 100", "bottom: 0 0.35 0.35 0.5 0.5"),
        (Task.detect, "0 100 50 40 20", "pixels of an image of 200 x 100", "width and height: 0 0.5 0.5 0.2 0.2"),
        (Task.detect, "0 0.9 0.5 1.02 0.2", "1.02; the image ends at 0 and 1", "0 0.695 0.5 0.61 0.2"),
        (Task.detect, "0 -0.02 0.5 0.2 0.2", "negative label values: -0.02", "0 0.04 0.5 0.08 0.2"),
        (
            Task.detect,
            "0 1 0.1 1.1 0.1 1.1 0.9 1 0.9",
            "the image ends at 0 and 1",
            "0 1 0.1 1 0.1 1 0.9 1 0.9",
        ),
        (Task.detect, "0,0.5,0.5,0.2,0.2", "separates values by commas", "/^[^[:space:]]*,/s/, */ /g"),
        (Task.detect, "0; 0.5; 0.5; 0.2; 0.2", "separates values by semicolons", "/^[^[:space:]]*;/s/; */ /g"),
        (Task.detect, "0 0,5 0,5 0,2 0,2", "decimals with a comma: 0,5", "/s/,/./g"),
        (Task.segment, "0 12,30 60,30 60,80", "no number: 12,30", "class x1 y1 x2 y2 x3 y3"),
        (Task.detect, "traffic light 0.5 0.5 0.2 0.2", "names the class instead of its index", "s/^traffic light ("),
        (Task.detect, "dog 0.5 0.5 0.2 0.2", "names the class instead of its index: dog", "0 cat, 1 traffic light"),
        (Task.detect, "# my labels\n0 0.5 0.5 0.2 0.2", "line 1: has a heading or a comment", "take that line out"),
        (Task.detect, f"class x y w h\n{BOX}", "line 1: has a heading or a comment", "take that line out"),
        (Task.detect, "0 0.5 0.5 0.2 wide", "no number: wide", "class x y width height"),
        (Task.detect, '{"shapes": []}', "holds JSON", "format YOLO"),
        (Task.detect, "<annotation>", "holds XML", "format YOLO"),
        (Task.detect, "Car 0.00 0 -1.57 59 15 62 18 1.6 1.7 3.6 -1.1 1.7 21 -1.6", "KITTI", "columns 5 to 8"),
        (Task.obb, "2 3 40 3 40 30 2 30 plane 0", "DOTA", "convert_dota_to_yolo_obb"),
        (Task.obb, f"{BOX} 0.78", "a box and, perhaps, its angle", "four corners"),
        (Task.detect, "0.5 0.5 0.2 0.2 1", "the class in its last column", "awk"),
        (Task.detect, "0.5 0.5 0.2 0.2", "the class seems to be missing", "class x y width height"),
        (Task.segment, f"0 0.1 0.1 0.9 0.1 0.9 0.9\n{BOX}", "line 2: labels mix", "0 0.4 0.4 0.6 0.4 0.6 0.6 0.4 0.6"),
        (Task.segment, "0 0.1 0.1 0.9 0.1 0.9 0.9 0.2", "odd number", "class x1 y1 x2 y2 x3 y3"),
        (Task.detect, f"{BOX} 0.4 0.4 2 0.6 0.6 1", "2 keypoints of x, y and visibility", "kpt_shape: [2, 3]"),
    ],
)
def test_labels_of_another_format(task: Task, label: str, found: str, cure: str, tmp_path: Path) -> None:
    said = problems(dataset(tmp_path, label), task)
    assert {problem.key for problem in said} == {"data.train", "data.val"}
    assert f"{tmp_path}/labels/train/train0.txt line " in said[0].found or "line" not in found
    assert found in said[0].found
    assert cure in said[0].instead


@pytest.mark.parametrize(
    ("label", "shape", "found", "cure"),
    [
        (f"{BOX} 0.4 0.4 2 0.6 0.6 1", "[2, 2]", "2 keypoints of x, y and visibility", "kpt_shape: [2, 3]"),
        (f"{BOX} 0.4 0.4 0.6 0.6", "[2, 3]", "2 keypoints of x, y; ", "kpt_shape: [2, 2]"),
        (f"{BOX} 0.4 0.4 2 0.6 0.6 0 0 0 0", "[2, 3]", "3 keypoints of x, y and visibility", "kpt_shape: [3, 3]"),
        (BOX, "[2, 3]", "boxes without keypoints", "detection model"),
    ],
)
def test_keypoints_that_are_not_as_kpt_shape_says(
    label: str, shape: str, found: str, cure: str, tmp_path: Path
) -> None:
    said = problems(dataset(tmp_path, label, extra=f"kpt_shape: {shape}\n"), Task.pose)
    assert "train0.txt line 1" in said[0].found
    assert found in said[0].found
    assert cure in said[0].instead


@pytest.mark.parametrize(
    "label",
    [
        *("0,0.5,0.5,0.2,0.2", "0; 0.5; 0.5; 0.2; 0.2", "0 0,5 0,5 0,2 0,2", "0.5 0.5 0.2 0.2 1", "0.5 .5 .2 .2 1\r"),
        *(f"{BOX} 0.8", f"{BOX} 0.8 12", f"{BOX} 12 0.8", f"{BOX} 12", f"{BOX} 0.8\r", "traffic light 0.5 0.5 0.2 0.2"),
    ],
)
def test_the_command_that_is_named_mends_the_files_and_no_other_line(label: str, tmp_path: Path) -> None:
    source = dataset(tmp_path / "my data", label)
    others = "0 0.5 0.5 0.2 0.3\n1 0 1 0.25 1\n1 0.1 0.1 0.9 0.1 0.9 0.9\ntraffic light, red 0.1\n"
    kept = [tmp_path / f"my data/labels/{split}/other.txt" for split in ("train", "val")]
    for file in (*kept, tmp_path / "t"):
        file.write_text(others)
    for problem in problems(source):
        command = problem.instead[problem.instead.index(": ") + 2 :]
        subprocess.run(["bash", "-c", command], check=True, cwd=tmp_path)
    assert check(source, Task.detect).splits["train"].objects == 2
    assert [file.read_text() for file in (*kept, tmp_path / "t")] == [others] * 3


def test_the_command_for_names_of_classes_writes_all_and_tells_those_that_begin_alike_apart(tmp_path: Path) -> None:
    source = dataset(tmp_path, "traffic 0.5 0.5 0.2 0.2")
    source.write_text(source.read_text().replace("cat", "traffic"))
    other = tmp_path / "labels/train/other.txt"
    other.write_text("traffic light 0.3 0.5 0.2 0.2\n")
    command = problems(source)[0].instead.partition(": ")[2]
    subprocess.run(["bash", "-c", command], check=True)
    assert other.read_text() == "1 0.3 0.5 0.2 0.2\n"
    assert (tmp_path / "labels/train/train0.txt").read_text() == f"{BOX}\n"


def test_classes_that_run_from_1_are_one_problem_and_subtracted_once(tmp_path: Path) -> None:
    source = dataset(tmp_path, "1 0.5 0.5 0.2 0.2\n2.0 0.1 0.1 0.2 0.2")
    (problem,) = problems(source)
    assert problem.key == "data"
    assert "labels/train/train0.txt line 2: class 2; names ends at 1" in problem.found
    command = problem.instead.partition("or subtract one from the class of each line: ")[2]
    full = 'awk() { printf "0 0.5"; return 1; }; '  # as where the disk is full
    for stopped in (full, "", ""):
        subprocess.run(["bash", "-c", stopped + command], check=not stopped)
    assert check(source, Task.detect).splits["train"].per_class == {"cat": 2, "traffic light": 2}
    assert (tmp_path / "labels/val/val0.txt").read_text() == "0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.2 0.2\n"


def test_classes_run_from_1_in_a_split_without_the_last_class_too(tmp_path: Path) -> None:
    source = dataset(tmp_path, "1 0.5 0.5 0.2 0.2")
    for number in range(2):
        (tmp_path / f"labels/train/train{number}.txt").write_text("2 0.5 0.5 0.2 0.2\n")
    (problem,) = problems(source)
    assert f"for f in {tmp_path}/labels/train/*.txt {tmp_path}/labels/val/*.txt; do" in problem.instead


def test_a_slip_in_a_split_without_class_0_is_not_that_classes_run_from_1(tmp_path: Path) -> None:
    source = dataset(tmp_path)
    for number, kind in enumerate((1, 2)):
        (tmp_path / f"labels/val/val{number}.txt").write_text(f"{kind} 0.5 0.5 0.2 0.2\n")
    (skipped,) = check(source, Task.detect).splits["val"].skipped
    assert "class 2; names ends at 1" in skipped


@pytest.mark.parametrize(("files", "refused"), [(2, False), (6, True)])
def test_a_class_behind_the_last_in_few_files_is_a_slip_though_none_has_class_0(files: int, refused: bool) -> None:
    rules = LabelRules(classes=2)
    texts = ["2 0.5 0.5 0.2 0.2"] * files + ["1 0.5 0.5 0.2 0.2"] * (100 - files)
    verdicts = [ImageCheck("a.jpg", 1, "", read_labels(text, rules), "a.txt") for text in texts]
    setting = Setting(Path("data.yaml"), Task.detect, rules, {0: "cat", 1: "dog"})
    assert bool(problems_of_splits({"train": verdicts}, setting, Path())) is refused


def test_labels_in_utf_16_and_the_command_that_leaves_others_alone(tmp_path: Path) -> None:
    source = dataset(tmp_path)
    for label in (tmp_path / "labels").rglob("*.txt"):
        label.write_text(f"{BOX}\n", encoding="utf-16")
    other = tmp_path / "labels/train/other.txt"
    other.write_text(f"{BOX}\n")
    for problem in problems(source):
        assert "0.txt: is UTF-16" in problem.found
        subprocess.run(["bash", "-c", problem.instead], check=True)
    assert check(source, Task.detect).splits["train"].labelled == 2
    assert other.read_text() == f"{BOX}\n"


def beside(root: Path) -> Path:
    source = dataset(root)
    for split in ("train", "val"):
        for label in (root / "labels" / split).iterdir():
            label.rename(root / "images" / split / label.name)
    shutil.rmtree(root / "labels")
    return source


def in_one_folder(root: Path) -> Path:
    source = dataset(root)
    for split in ("train", "val"):
        for label in (root / "labels" / split).iterdir():
            label.rename(root / "labels" / label.name)
        (root / "labels" / split).rmdir()
    return source


def with_the_suffix_of_the_image(root: Path) -> Path:
    source = dataset(root)
    for label in (root / "labels").rglob("*.txt"):
        label.rename(label.with_suffix(".jpg.txt"))
    return source


def with_a_suffix_in_capitals(root: Path) -> Path:
    source = dataset(root)
    for label in (root / "labels").rglob("*.txt"):
        label.rename(label.with_suffix(".TXT"))
    return source


PLACES = [beside, in_one_folder, with_the_suffix_of_the_image, with_a_suffix_in_capitals]


@pytest.mark.parametrize("spoil", PLACES)
def test_labels_in_other_places_and_the_command_that_moves_them(spoil: object, tmp_path: Path) -> None:
    source = spoil(tmp_path / "my data")  # type: ignore[operator]
    train, val = problems(source)
    assert "no image has a label file" in train.found
    assert f"{tmp_path}/my data/labels/train/train0.txt" in train.found
    assert "no image of val has a label file" in val.found
    for problem in (train, val):
        subprocess.run(["bash", "-c", problem.instead], check=True)
    assert [split.labelled for split in check(source, Task.detect).splits.values()] == [2, 2]


@pytest.mark.parametrize("spoil", [None, *PLACES[2:]])
def test_the_labels_of_another_split_are_not_moved(spoil: object, tmp_path: Path) -> None:
    source = dataset(tmp_path)
    for image in (tmp_path / "images/val").iterdir():  # called as in train
        image.rename(image.with_name(image.name.replace("val", "train")))
        label = tmp_path / "labels/val" / f"{image.stem}.txt"
        label.rename(label.with_name(label.name.replace("val", "train")))
    shutil.rmtree(tmp_path / "labels/train")
    if spoil is with_a_suffix_in_capitals or spoil is with_the_suffix_of_the_image:
        end = ".TXT" if spoil is with_a_suffix_in_capitals else ".jpg.txt"
        for label in list((tmp_path / "labels/val").iterdir()):
            label.rename(label.with_suffix(end))
    assert problems(source)[0].instead == "put a .txt file of that name for each image"


def test_images_in_a_folder_of_another_name(tmp_path: Path) -> None:
    source = dataset(tmp_path, images="JPEGImages")
    (problem,) = problems(source)
    assert "this one is called JPEGImages/" in problem.found
    command, _, rest = problem.instead.partition(", and write images in place of JPEGImages")
    assert rest
    subprocess.run(["bash", "-c", command], check=True)
    source.write_text(source.read_text().replace("JPEGImages", "images"))
    assert check(source, Task.detect).splits["train"].labelled == 2


def test_a_folder_images_that_is_there_is_not_moved_into(tmp_path: Path) -> None:
    source = dataset(tmp_path, images="JPEGImages")
    (tmp_path / "images").mkdir()
    subprocess.run(["bash", "-c", problems(source)[0].instead], check=True)
    assert not list((tmp_path / "images").iterdir())
    assert check(source, Task.detect).splits["train"].labelled == 2


def test_classes_do_not_run_from_1_where_a_file_holds_class_0(tmp_path: Path) -> None:
    for problem in problems(dataset(tmp_path, "0 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.2 0.2")):
        assert "subtract one" not in problem.instead


def test_images_in_folders_of_splits_beside_one_folder_of_labels(tmp_path: Path) -> None:
    source = dataset(tmp_path)
    for split in ("train", "val"):
        (tmp_path / "images" / split).rename(tmp_path / split)
        for label in (tmp_path / "labels" / split).iterdir():
            label.rename(tmp_path / "labels" / label.name)
        (tmp_path / "labels" / split).rmdir()
    (tmp_path / "images").rmdir()
    source.write_text(source.read_text().replace("images/", ""))
    for _ in ("train", "val"):
        cure = problems(source)[0].instead if _ == "train" else next(iter(check(source, Task.detect).warnings()))
        subprocess.run(["bash", "-c", cure[cure.index("mkdir ") :]], check=True)
    assert [split.labelled for split in check(source, Task.detect).splits.values()] == [2, 2]


@pytest.mark.parametrize(
    ("name", "content", "found", "cure"),
    [
        ("annotations/instances_train.json", json.dumps({"images": [], "annotations": []}), "COCO", "convert_coco("),
        ("Annotations/train0.xml", "<annotation><object><bndbox>", "Pascal VOC", "YOLO"),
        ("labels/train/train1.json", '{"shapes": []}', "LabelMe", "YOLO"),
        ("train.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n", "a table of boxes", "YOLO"),
        ("labels.zip", "PK", "the archive", "unpack"),
        ("labels/train/other.txt", BOX, "none of them called as an image", "train0.txt for train0.jpg"),
        ("labels/train/TRAIN0.TXT", BOX, "is spelt otherwise", "mv "),
        ("readme.md", "", "there is no", "put a .txt file"),
    ],
)
def test_labels_of_other_tools_beside_a_dataset_without_any(
    name: str, content: str, found: str, cure: str, tmp_path: Path
) -> None:
    source = dataset(tmp_path)
    for label in (tmp_path / "labels").rglob("*.txt"):
        label.unlink()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    problem, *others = problems(source)
    assert problem.key == "data.train"
    assert all(other.key == "data.val" and other.instead != problem.instead for other in others)
    assert found in problem.found
    assert cure in problem.instead


@pytest.mark.parametrize("place", ["images/val", "labels", "annotations/val", None])
def test_an_evaluated_split_without_labels_is_told(place: str | None, tmp_path: Path) -> None:
    """Ultralytics trains, and its metrics stay at 0."""
    source = dataset(tmp_path)
    for label in (tmp_path / "labels/val").iterdir():
        if place is None:
            label.unlink()
        else:
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            label.rename(tmp_path / place / label.name)
    (line,) = check(source, Task.detect).warnings()
    assert line.startswith("no image of val has a label file, so that its metrics are 0: ")
    assert f"{tmp_path}/labels/val/val0.txt" in line
    assert place is None or f"{tmp_path}/{place}/val0.txt" in line


def test_a_part_that_is_skipped_is_listed_with_the_cure(tmp_path: Path) -> None:
    source = dataset(tmp_path)
    (tmp_path / "labels/train/train1.txt").write_text("0 12 10 40 44\n")
    train = check(source, Task.detect).splits["train"]
    assert train.skipped[0].endswith(f"({tmp_path}/labels/train/train1.txt line 1)")
    assert "divide x and width" in train.cure
    assert any("most of them: " in line for line in check(source, Task.detect).warnings())
