"""A kept verdict is that of the same files, asked by the same: what else it depends on makes it anew."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL
import pytest
from PIL import Image

from yoloscale.config.schema import Task
from yoloscale.datasets.check import dataset as check_module
from yoloscale.datasets.check import images as check_images
from yoloscale.datasets.check import verdict as check_verdict
from yoloscale.datasets.check.dataset import check
from yoloscale.datasets.check.report import DatasetReport
from yoloscale.system import in_threads


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (32, 32)).save(tmp_path / "images" / split / f"{number}.jpg")
            (tmp_path / "labels" / split / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    lines = [f"./images/val/{number}.jpg\n" for number in range(3)]
    (tmp_path / "val.txt").write_text("".join(lines))
    (tmp_path / "data.yaml").write_text("train: images/train\nval: val.txt\nnames: [a]\n")
    return tmp_path / "data.yaml"


@pytest.fixture
def looked_at(source: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many images a check of it looks into."""
    inspect_image, judged = check_verdict.inspect_image, list[str]()

    def counted(image: str, *rest: Any) -> Any:
        judged.append(image)
        return inspect_image(image, *rest)

    monkeypatch.setattr(check_module, "inspect_image", counted)

    def count() -> int:
        judged.clear()
        kept(source)
        return len(judged)

    assert count() == 6
    assert count() == 0
    return count


def kept(source: Path) -> DatasetReport:
    return check(source, Task.detect, cache=source.parent / "cache")


def test_permissions(source: Path, looked_at: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    (source.parent / "labels/train/1.txt").chmod(0o600)
    assert looked_at() == 6
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert looked_at() == 6
    monkeypatch.setattr(os, "access", lambda folder, mode: "val" not in str(folder))  # root may write anywhere
    assert looked_at() == 6
    assert looked_at() == 0


def test_packages(looked_at: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    is_there = check_images.find_spec("pi_heif") is not None
    monkeypatch.setattr(check_images, "find_spec", lambda name: None if is_there else object())
    assert looked_at() == 6
    monkeypatch.setattr(PIL, "__version__", "0")
    assert looked_at() == 6
    assert looked_at() == 0


def test_lines_of_a_list(source: Path, looked_at: Callable[[], int]) -> None:
    file = source.parent / "val.txt"
    file.write_text("\n" + file.read_text())
    assert looked_at() == 6


@pytest.mark.parametrize("part", ["image", "label"])
def test_what_a_file_system_could_not_read_is_looked_at_again(
    part: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, *_: Any) -> Any:
        if "train" in path and Path(path).stem == "1":
            raise OSError(errno.EIO, "Input/output error", path)
        return read(path, *_)

    module, name = (check_images, "glance") if part == "image" else (check_verdict, "_read")
    read: Callable[..., Any] = getattr(module, name)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, fail)
        train = kept(source).splits["train"]
    assert (len(train.skipped), train.unread) == (1, 1)
    assert "cannot be read: Input/output error" in train.skipped[0]
    assert any("the file system failed on 1 image or label" in line for line in train.remarks())
    assert kept(source).splits["train"].skipped == ()


def test_errors_of_pillow_that_are_the_file_system_s_say_nothing_about_the_image(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> Any:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(check_images, "_pillow", fail)
    assert check_verdict.judge_alone(str(source.parent / "images/train/1.jpg"), deep=True).is_passing


@pytest.mark.parametrize("made", [Path.mkdir, lambda label: label.parent.chmod(0o755)])
def test_a_label_that_is_no_file_is_none(made: Callable[[Path], None], source: Path) -> None:
    """As for Ultralytics: the image is background."""
    label = source.parent / "labels/train/1.txt"
    label.unlink()
    made(label)
    train = kept(source).splits["train"]
    assert (train.skipped, train.backgrounds) == ((), 1)


def test_long_work_is_told(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_threads, "CHUNK", 2)
    monkeypatch.setattr(in_threads, "_FIRST_S", -1.0)
    said = list[str]()
    check(source, Task.detect, cache=source.parent / "cache", say=said.append)
    assert said[0] == "2 of 3 images looked for changes"
    assert {"2 of 3 images checked", "2 of 3 images in the fingerprint"} <= set(said)
