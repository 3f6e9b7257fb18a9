"""Archives and addresses: opened once, into the cache, whole or not at all; the same as Ultralytics opens."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.datasets.folders import picture, problem_of, quiet

from yoloscale.config.schema import DataConfig, Task
from yoloscale.datasets import packed, sources
from yoloscale.datasets.check.dataset import check
from yoloscale.system.locks import build_once


def dataset(root: Path, more: str = "") -> Path:
    for split in ("train", "val"):
        for number in range(2):
            picture(root / "images" / split / f"{number}.jpg", number)
            (root / "labels" / split).mkdir(parents=True, exist_ok=True)
            (root / "labels" / split / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "data.yaml").write_text(f"{more}train: images/train\nval: images/val\nnames: [cat, dog]\n")
    return root


def pack(root: Path, file: Path, top: str) -> Path:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            for path in root.rglob("*"):
                archive.write(path, Path(top, path.relative_to(root)))
    else:
        with tarfile.open(file, "w:gz" if file.name.endswith("gz") else "w") as packed_:
            packed_.add(root, top or ".")
    return file


@pytest.mark.parametrize("name", ["my parts.zip", "parts.tar.gz", "parts.tgz", "parts.tar", "PARTS.ZIP"])
@pytest.mark.parametrize("top", ["", "inner"])
def test_an_archive_is_unpacked_once(name: str, top: str, tmp_path: Path) -> None:
    root = dataset(tmp_path / "data", more="path: ../elsewhere\n")
    file = pack(root, tmp_path / name.replace("PARTS.ZIP", "P.zip"), top)
    if name == "PARTS.ZIP":
        file = file.rename(tmp_path / name)
    config = DataConfig(source=str(file))
    opened = sources.prepare(config, Task.detect, tmp_path / "cache", quiet)
    assert sources.locate(config, Task.detect, tmp_path / "cache") == opened
    assert check(opened, Task.detect).splits["train"].objects == 2
    before = opened.stat().st_ino
    assert sources.prepare(config, Task.detect, tmp_path / "cache", quiet).stat().st_ino == before


def test_an_archive_of_class_folders_is_unpacked_and_split(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        for number in range(5):
            picture(tmp_path / "data" / kind / f"{number}.jpg", number)
    file = pack(tmp_path / "data", tmp_path / "pets.zip", "pets")
    config = DataConfig(source=str(file))
    root = sources.prepare(config, Task.classify, tmp_path / "cache", quiet)
    assert sources.locate(config, Task.classify, tmp_path / "cache") == root
    assert check(root, Task.classify).splits["train"].per_class == {"cat": 4, "dog": 4}
    assert "model=yolo26n-cls" in problem_of(str(file), Task.detect, tmp_path / "cache").instead


def test_an_archive_and_a_yaml_from_an_address(served: tuple[Path, str, list[str]], tmp_path: Path) -> None:
    folder, address, asked = served
    root = dataset(tmp_path / "data")
    pack(root, folder / "parts.zip", "parts")
    config = DataConfig(source=f"{address}/parts.zip?token=secret")
    file = sources.prepare(config, Task.detect, tmp_path / "cache", quiet)
    assert sources.prepare(config, Task.detect, tmp_path / "cache", quiet) == file
    assert asked == ["/parts.zip?token=secret"]
    assert check(file, Task.detect).splits["train"].images == 2
    assert not list((tmp_path / "cache").rglob("*.zip"))
    (folder / "d.yaml").write_text((root / "data.yaml").read_text().replace("train:", f"path: {root}\ntrain:"))
    file = sources.prepare(DataConfig(source=f"{address}/d.yaml"), Task.detect, tmp_path / "cache", quiet)
    assert check(file, Task.detect).splits["train"].images == 2


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("parts.zip", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("parts.zip", b"<!DOCTYPE html><title>Sign in</title>", "is a web page (Sign in)"),
        ("parts.zip", b"PK\3\4" + bytes(90), "is cut short, or neither zip nor tar"),
        ("parts.tar.gz", b"\x1f\x8b" + bytes(90), "is cut short, or neither zip nor tar"),
        ("parts.7z", b"7z", "is an archive that is not opened here"),
        ("absent.zip", None, "there is no"),
    ],
)
def test_archives_that_cannot_be_opened_are_named(name: str, content: bytes | None, found: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert found in problem_of(str(tmp_path / name), Task.detect, tmp_path / "cache").found


def test_members_that_would_leave_the_folder_do_not(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.add(__file__, "../../escaped.py")
    assert "cannot be unpacked" in problem_of(str(tmp_path / "bad.tar"), Task.detect, tmp_path / "cache").found
    assert not list(tmp_path.rglob("escaped.py"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("ul://me/datasets/parts", "Ultralytics' platform"),
        ("https://platform.ultralytics.com/me/datasets/parts", "Ultralytics' platform"),
        ("s3://bucket/parts.zip", "cannot be opened here"),
        ("https://host/download?id=1", "does not say what it is"),
    ],
)
def test_addresses_that_cannot_be_opened_are_told(source: str, found: str, tmp_path: Path) -> None:
    assert found in problem_of(source, Task.detect, tmp_path / "cache").found


def test_a_dry_run_says_what_would_happen_and_touches_nothing(tmp_path: Path) -> None:
    cache, file = tmp_path / "cache", tmp_path / "parts.zip"
    pack(dataset(tmp_path / "data"), file, "")
    for source, task, words in (
        (str(file), None, "would be unpacked into"),
        ("http://h/p.ndjson?t=1", Task.detect, "http://h/p.ndjson would be converted into"),
    ):
        (line,) = sources.outlook(DataConfig(source=source), task, cache)
        assert words in line
        assert "?" not in line
    assert not cache.exists()
    assert sources.outlook(DataConfig(source=str(tmp_path / "data" / "data.yaml")), None, cache) == []
    packed.prepare(str(file), Task.detect, cache, quiet)
    (line,) = sources.outlook(DataConfig(source=str(file)), None, cache)
    assert "was unpacked before" in line


def test_what_is_left_of_a_killed_start_is_no_dataset(tmp_path: Path) -> None:
    file = pack(dataset(tmp_path / "data"), tmp_path / "parts.zip", "")

    def killed(partial: Path) -> None:
        (partial / "data.yaml").write_text("half")
        raise KeyboardInterrupt

    target = Path(packed.outlook(str(file), tmp_path / "cache").rpartition(" into ")[2])
    with pytest.raises(KeyboardInterrupt):
        build_once(target, killed)
    opened = sources.prepare(DataConfig(source=str(file)), Task.detect, tmp_path / "cache", quiet)
    assert check(opened, Task.detect).splits["val"].images == 2


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("place", ["inside", "checksum"])
def test_archives_that_are_damaged_are_told(suffix: str, place: str, tmp_path: Path) -> None:
    root = dataset(tmp_path / "set")
    (root / "noise").write_bytes(np.random.default_rng(0).bytes(2_000_000))
    file = tmp_path / f"set.tar.{suffix}"
    with tarfile.open(file, f"w:{suffix}") as archive:  # type: ignore[call-overload]
        archive.add(root, "set")
    content = bytearray(file.read_bytes())
    at = len(content) - 6 if place == "checksum" else len(content) // 2
    content[at : at + 4] = bytes(255 - byte for byte in content[at : at + 4])
    file.write_bytes(content)
    told = problem_of(str(file), Task.detect, tmp_path / "cache")
    assert str(file) in told.found
    assert not list((tmp_path / "cache" / "opened").glob("set-*"))
