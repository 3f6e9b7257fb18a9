"""Files that are not what their names say: pointers, web pages, nothing; as images, labels and weights."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from yoloscale.config.schema import Task
from yoloscale.datasets import weights_file
from yoloscale.datasets.check.dataset import check
from yoloscale.datasets.file_kinds import other_file
from yoloscale.errors import ConfigError

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"3" * 64 + b"\nsize 402133\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in\n - Example</title></head><body></body></html>"
DENIED = b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code><Message>no</Message></Error>'


def dataset(root: Path) -> Path:
    """Four images with a box each in train and in val."""
    for split in ("train", "val"):
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(4):
            noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
            cv2.imwrite(str(images / f"{number}.jpg"), noise)
            (labels / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    source = root / "data.yaml"
    source.write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    return source


@pytest.mark.parametrize(
    ("content", "what", "cure"),
    [
        (LFS, "a Git LFS pointer", "git lfs pull"),
        (b"version https://hawser.github.com/spec/v1\noid", "a Git LFS pointer", "git lfs pull"),
        (b"/annex/objects/SHA256E-s12--ab.jpg\n", "a git-annex pointer", "git annex get"),
        (PAGE, "a web page (Sign in - Example)", "download or copy it again"),
        (b"\n <html lang=de>", "a web page", "login"),
        (DENIED, "the answer of a server: AccessDenied", "refused"),
        (b"", "is empty", "again"),
        (bytes(512), "zeros", "again"),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_what_lies_in_place_of_every_image_is_named_with_its_cure(
    content: bytes, what: str, cure: str, deep: bool, tmp_path: Path
) -> None:
    source = dataset(tmp_path)
    for image in (tmp_path / "images" / "train").iterdir():
        image.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        check(source, Task.detect, deep=deep)
    (problem,) = raised.value.problems
    assert problem.key == "data.train"
    assert f"{tmp_path}/images/train/0.jpg" in problem.found
    assert what in problem.found
    assert cure in problem.instead


def test_a_few_pointers_are_skipped_listed_and_named(tmp_path: Path) -> None:
    source = dataset(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "images" / "train" / "1.jpg").write_bytes(LFS)
    (tmp_path / "labels" / "train" / "2.txt").write_bytes(LFS)
    (tmp_path / "images" / "train" / "3.jpg").unlink()
    (tmp_path / "images" / "train" / "3.jpg").symlink_to("../../.git/annex/objects/gone")
    train = check(source, Task.detect).splits["train"]
    assert len(train.skipped) == 3
    assert "1.jpg: is a Git LFS pointer" in train.skipped[0]
    assert "2.jpg: its label is a Git LFS pointer" in train.skipped[1]
    assert "is a link to ../../.git/annex/objects/gone" in train.skipped[2]
    assert f"run `git lfs pull` in {tmp_path}" in train.cure


def test_labels_that_are_pointers_are_named(tmp_path: Path) -> None:
    source = dataset(tmp_path)
    for label in (tmp_path / "labels" / "train").iterdir():
        label.write_bytes(LFS)
    with pytest.raises(ConfigError) as raised:
        check(source, Task.detect)
    (problem,) = raised.value.problems
    assert "labels/train/0.txt: is a Git LFS pointer" in problem.found
    assert "git lfs pull" in problem.instead


def test_class_folders_of_pointers_are_refused(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "val/a", "val/b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.jpg").write_bytes(LFS)
    with pytest.raises(ConfigError) as raised:
        check(tmp_path, Task.classify)
    assert [problem.key for problem in raised.value.problems] == ["data.train", "data.val"]
    assert "Git LFS pointer" in raised.value.problems[0].found


def test_ordinary_content_is_nothing_else() -> None:
    for content in (b"\xff\xd8\xff\xe0", b"0 0.5 0.5 0.2 0.2\n", b"\x89PNG\r\n", b"<?xml version='1.0'?><annotation>"):
        assert other_file("a", content) is None


def archive_cut_short() -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("best/data.pkl", b"x" * 5000)
    return whole.getvalue()[:4000]


@pytest.mark.parametrize(
    ("content", "what", "cure"),
    [
        (LFS, "a Git LFS pointer", "git lfs pull"),
        (PAGE, "a web page (Sign in - Example)", "login"),
        (b"", "is empty", "again"),
        (archive_cut_short(), "is cut short: 4000 bytes", "again"),
        (b"\x80\x02\x8a\nl\xfc", "a pickle: torch before 1.6", "yolo26n"),
        (b'\x40\0\0\0\0\0\0\0{"a":{}}', "safetensors", "yolo26n"),
        (b"Rar!\x1a\x07", "it begins with 'Rar!", "yolo26n"),
    ],
)
def test_what_lies_in_place_of_weights_is_named(content: bytes, what: str, cure: str, tmp_path: Path) -> None:
    file = tmp_path / "best.pt"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        weights_file.inspect(file)
    (problem,) = raised.value.problems
    assert problem.key == "model"
    assert what in problem.found
    assert cure in problem.instead
