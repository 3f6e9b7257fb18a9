from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from yoloscale.config.schema import Task
from yoloscale.datasets.check import dataset as check
from yoloscale.datasets.check.report import DatasetReport

YAML = "train: images/train\nval: images/val\nnames: [a, b]\n"


def picture(file: Path, size: int) -> None:
    Image.new("RGB", (size, size)).save(file)


def make(root: Path) -> Path:
    """A detection dataset of three images a split."""
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number in range(3):
            picture(root / "images" / split / f"{number}.{'png' if number == 2 else 'jpg'}", 32 + 32 * number)
            (root / "labels" / split / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.2 0.2\n1 0.2 0.2 0.1 0.1\n")
    (root / "data.yaml").write_text(YAML)
    return root


def digest(source: Path, task: Task = Task.detect, **how: object) -> str:
    report = check.check(source / "data.yaml" if task is Task.detect else source, task, **how)  # type: ignore[arg-type]
    assert isinstance(report, DatasetReport)
    assert report.digest is not None
    return report.digest


def test_it_does_not_depend_on_where_the_dataset_lies(tmp_path: Path) -> None:
    first = digest(make(tmp_path / "a"))
    shutil.move(tmp_path / "a", tmp_path / "other disk" / "b")
    assert digest(tmp_path / "other disk" / "b") == first
    shutil.copytree(tmp_path / "other disk" / "b", tmp_path / "copy")
    (tmp_path / "copy" / "data.yaml").write_text(f"path: {tmp_path}/copy  # elsewhere\n{YAML}")
    assert digest(tmp_path / "copy") == first


def test_splits_may_move_apart_and_be_listed(tmp_path: Path) -> None:
    first = digest(make(tmp_path / "a"))
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            shutil.copytree(tmp_path / "a" / kind / split, tmp_path / f"disk-{split}" / kind / split)
    images = sorted(map(str, (tmp_path / "disk-train" / "images" / "train").iterdir()), reverse=True)
    (tmp_path / "list.txt").write_text("\n".join(images))
    (tmp_path / "data.yaml").write_text("train: list.txt\nval: disk-val/images/val\nnames: {0: a, 1: b}\n")
    assert digest(tmp_path) == first


def test_line_ends_and_the_cache_make_no_difference(tmp_path: Path) -> None:
    root = make(tmp_path / "a")
    first = digest(root, cache=tmp_path / "cache")
    assert digest(root, cache=tmp_path / "cache") == first, "from what was kept"
    label = root / "labels" / "train" / "0.txt"
    label.write_bytes(label.read_bytes().replace(b"\n", b"\r\n"))
    assert digest(root, cache=tmp_path / "cache") == first


def test_a_jpeg_that_the_first_scan_writes_anew_makes_no_difference(tmp_path: Path) -> None:
    image = make(tmp_path) / "images" / "train" / "0.jpg"
    image.write_bytes(image.read_bytes() + bytes(8))
    first = digest(tmp_path)
    Image.open(image).save(image, "JPEG", subsampling=0, quality=100)
    assert digest(tmp_path) == first


def test_a_list_may_mix_absolute_and_relative_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest(make(tmp_path))
    images = [f"{tmp_path}/images/train/0.jpg", "images/train/1.jpg", "./images/train/2.png"]
    (tmp_path / "list.txt").write_text("\n".join(images))
    (tmp_path / "data.yaml").write_text(YAML.replace("images/train", "list.txt"))
    for label in (tmp_path / "labels" / "train").glob("1.txt"):  # of a line without a slash before images/
        label.rename(tmp_path / "images" / "train" / "1.txt")
    monkeypatch.chdir(tmp_path)
    assert digest(tmp_path) == first


def _relabel(root: Path) -> None:
    (root / "labels" / "val" / "1.txt").write_text("0 0.5 0.5 0.2 0.2\n")


def _rename(root: Path) -> None:
    for kind, suffix in (("images", "jpg"), ("labels", "txt")):
        (root / kind / "train" / f"0.{suffix}").rename(root / kind / "train" / f"new.{suffix}")


def _resize(root: Path) -> None:
    picture(root / "images" / "train" / "2.png", 320)


def _add(root: Path) -> None:
    picture(root / "images" / "train" / "3.jpg", 32)


def _unlabel(root: Path) -> None:
    (root / "labels" / "train" / "2.txt").unlink()


def _rename_class(root: Path) -> None:
    (root / "data.yaml").write_text(YAML.replace("[a, b]", "[b, a]"))


def _split_lines(root: Path) -> None:
    (root / "labels" / "train" / "0.txt").write_text("0 0.5 0.5 0.2 0.2\n")


@pytest.mark.parametrize("change", [_relabel, _rename, _resize, _add, _unlabel, _rename_class, _split_lines])
def test_other_names_sizes_labels_or_classes_are_another_dataset(tmp_path: Path, change: object) -> None:
    root = make(tmp_path / "a")
    first = digest(root)
    assert callable(change)
    change(root)
    assert digest(root) != first


def test_class_folders(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for kind in ("cat", "dog"):
            (tmp_path / "a" / split / kind).mkdir(parents=True)
            picture(tmp_path / "a" / split / kind / "1.jpg", 32)
    first = digest(tmp_path / "a", Task.classify)
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert digest(tmp_path / "b", Task.classify) == first
    (tmp_path / "b" / "train" / "dog" / "1.jpg").rename(tmp_path / "b" / "train" / "cat" / "2.jpg")
    picture(tmp_path / "b" / "train" / "dog" / "3.jpg", 32)
    assert digest(tmp_path / "b", Task.classify) != first
