"""NDJSON, archives and addresses: opened once, into the cache, whole or not at all; the same as Ultralytics opens."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from yoloscale.config.schema import DataConfig, Task
from yoloscale.datasets import download as download_module
from yoloscale.datasets import packed, sources
from yoloscale.datasets.check.dataset import check
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.locks import build_once

HASH = "0123456789abcdef0123456789abcdef"


def quiet(line: str) -> None:
    """Take what `say` would print."""


def picture(file: Path, seed: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8))


def dataset(root: Path, more: str = "") -> Path:
    for split in ("train", "val"):
        for number in range(2):
            picture(root / "images" / split / f"{number}.jpg", number)
            (root / "labels" / split).mkdir(parents=True, exist_ok=True)
            (root / "labels" / split / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "data.yaml").write_text(f"{more}train: images/train\nval: images/val\nnames: [cat, dog]\n")
    return root


def problem(source: str, task: Task, cache: Path) -> Problem:
    with pytest.raises(ConfigError) as raised:
        sources.prepare(DataConfig(source=source), task, cache, quiet)
    return raised.value.problems[0]


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def records(task: str, header: dict[str, Any], splits: str, annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A description and images with a local path."""
    made = [{"type": "dataset", "task": task, "name": "n", "path": "pictures", **header}]
    for number, split in enumerate(splits.split()):
        name = f"{HASH}.jpg" if number == 1 else f"{number}.jpeg" if number == 2 else f"{number}.jpg"
        made.append(
            {"type": "image", "file": name, "split": split, "annotations": annotations[number % len(annotations)]}
        )
    return made


CASES = {
    "detect": records(
        "detect",
        {"class_names": {"0": "a", "2": "c"}},
        "train train val test",
        [{"boxes": [[0, 0.5, 0.5, 0.2, 0.2], [2, 0.4, 0.4, 0.1, 0.1]]}, {}],
    ),
    "segment without val": records(
        "segment",
        {"class_names": {"0": "a"}},
        " ".join(["train"] * 12),
        [{"segments": [[0, 0.1, 0.1, 0.9, 0.1, 0.9, 0.9]]}],
    ),
    "pose": records(
        "pose", {"class_names": {"0": "a"}}, "train val", [{"pose": [[0, 0.5, 0.5, 0.2, 0.2, 0.4, 0.4, 2]]}]
    ),
    "pose with a shape": records(
        "pose",
        {"class_names": {"0": "a"}, "kpt_shape": [2, 2], "flip_idx": [1, 0]},
        "train val",
        [{"pose": [[0, 0.5, 0.5, 0.2, 0.2, 0.4, 0.4, 0.6, 0.6]]}],
    ),
    "without names": records("obb", {}, "train val", [{"obb": [[3, 0.1, 0.1, 0.4, 0.1, 0.4, 0.4, 0.1, 0.4]]}]),
}


class Session:
    """Stands for aiohttp's, which is not installed; local images need none."""

    def __init__(self, **_: object) -> None: ...

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("name", CASES)
def test_ndjson_becomes_what_ultralytics_makes_of_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.data import converter

    source = tmp_path / "parts.ndjson"
    source.write_text(lines(*CASES[name]))
    for record in CASES[name][1:]:
        picture(tmp_path / "pictures" / "images" / record["split"] / record["file"])
    config = DataConfig(source=str(source))
    task = Task(CASES[name][0]["task"])
    ours = sources.prepare(config, task, tmp_path / "cache", quiet)
    assert sources.locate(config, task, tmp_path / "cache") == ours
    aiohttp = ModuleType("aiohttp")
    vars(aiohttp)["ClientSession"] = Session
    monkeypatch.setitem(sys.modules, "aiohttp", aiohttp)
    monkeypatch.setattr(converter, "check_requirements", lambda *_: True)
    theirs = asyncio.run(converter.convert_ndjson_to_yolo(source, tmp_path / "theirs"))
    made = [
        {
            str(file.relative_to(root)): file.read_bytes()
            for file in root.rglob("*")
            if file.suffix in (".txt", ".jpg", ".jpeg")
        }
        for root in (ours.parent, theirs.parent)
    ]
    assert made[0] == made[1]
    assert len(made[0]) == 2 * (len(CASES[name]) - 1)
    said, expected = (yaml.safe_load(file.read_text()) for file in (ours, theirs))
    assert said == {key: value for key, value in expected.items() if key not in ("hash", "complete")}
    assert check(ours, task).splits["train"].images > 0


def test_ndjson_with_addresses_is_fetched_once_and_again_when_it_has_changed(
    served: tuple[Path, str, list[str]], tmp_path: Path
) -> None:
    folder, address, asked = served
    picture(folder / "a.jpg")
    picture(folder / "b.jpg")
    image = {"type": "image", "annotations": {"boxes": [[0, 0.5, 0.5, 0.2, 0.2]]}}
    records = [
        {"type": "dataset", "task": "detect", "class_names": {"0": "a"}},
        {**image, "file": "a.jpg", "url": f"{address}/a.jpg?signature=1", "split": "train"},
        {**image, "file": "b.jpg", "url": f"{address}/b.jpg", "split": "val"},
    ]
    (folder / "parts.ndjson").write_text(lines(*records))
    (tmp_path / "parts.ndjson").write_text(lines(*records))
    for source in (str(tmp_path / "parts.ndjson"), f"{address}/parts.ndjson?token=secret"):
        asked.clear()
        config, said = DataConfig(source=source), list[str]()
        file = sources.prepare(config, Task.detect, tmp_path / "cache", said.append)
        assert sources.prepare(config, Task.detect, tmp_path / "cache", said.append) == file
        assert sum("jpg" in path for path in asked) == 2
        assert check(file, Task.detect).splits["val"].objects == 1
        assert len(said) == 1
        assert "secret" not in said[0] + str(file)
    (tmp_path / "parts.ndjson").write_text(lines(*records, {**records[2], "annotations": {}}))
    config = DataConfig(source=str(tmp_path / "parts.ndjson"))
    with pytest.raises(ConfigError, match="not converted yet, or has changed"):
        sources.locate(config, Task.detect, tmp_path / "cache")
    file = sources.prepare(config, Task.detect, tmp_path / "cache", quiet)
    assert check(file, Task.detect).splits["val"].images == 2
    (tmp_path / "parts.ndjson").unlink()
    assert sources.locate(config, Task.detect, tmp_path / "cache") == file


def test_images_that_cannot_be_had_are_named_and_only_these_are_fetched_again(
    served: tuple[Path, str, list[str]], tmp_path: Path
) -> None:
    folder, address, asked = served
    picture(folder / "a.jpg")
    image = {"type": "image", "annotations": {}}
    header = {"type": "dataset", "task": "detect", "class_names": {"0": "a"}}
    records = [
        {**image, "file": f"{n}.jpg", "url": f"{address}/{n}.jpg", "split": s}
        for n, s in (("a", "train"), ("b", "val"))
    ]
    (tmp_path / "parts.ndjson").write_text(lines(header, *records))
    found = problem(str(tmp_path / "parts.ndjson"), Task.detect, tmp_path / "cache")
    assert f"1 of 2 images cannot be had: line 3: {address}/b.jpg: the server answers 404" in found.found
    assert not [path for path in (tmp_path / "cache" / "opened").iterdir() if not path.name.startswith(".")]
    picture(folder / "b.jpg")
    asked.clear()
    sources.prepare(DataConfig(source=str(tmp_path / "parts.ndjson")), Task.detect, tmp_path / "cache", quiet)
    assert asked == ["/b.jpg"]
    assert not list((tmp_path / "cache" / "opened").glob(".*.images"))


def test_classes_in_ndjson(served: tuple[Path, str, list[str]], tmp_path: Path) -> None:
    folder, address, _ = served
    picture(folder / "a.jpg")
    image = {"type": "image", "file": "a.jpg", "url": f"{address}/a.jpg"}
    kinds = [("train", [7]), ("train", [2]), ("val", [7]), ("val", [])]
    images = [{**image, "split": split, "annotations": {"classification": kind}} for split, kind in kinds]
    header = {"type": "dataset", "task": "classify", "class_names": {"2": "cat/small", "7": "dog"}}
    source = tmp_path / "kinds.ndjson"
    source.write_text(lines(header, *images))
    said: list[str] = []
    root = sources.prepare(DataConfig(source=str(source)), Task.classify, tmp_path / "cache", said.append)
    assert "1 images of kinds.ndjson have no class" in said[1]
    report = check(root, Task.classify)
    assert report.names == ("cat/small", "dog")
    assert report.splits["train"].per_class == {"cat/small": 1, "dog": 1}
    assert report.splits["val"].per_class == {"cat/small": 0, "dog": 1}
    assert "model=yolo26n-cls" in problem(str(source), Task.detect, tmp_path / "cache").instead


def test_depth_in_ndjson(served: tuple[Path, str, list[str]], tmp_path: Path) -> None:
    folder, address, _ = served
    picture(folder / "a.jpg")
    cv2.imwrite(str(folder / "a.png"), np.full((40, 40), 1200, np.uint16))
    image = {"type": "image", "file": "a.jpg", "url": f"{address}/a.jpg", "depth": {"url": f"{address}/a.png"}}
    source = tmp_path / "deep.ndjson"
    source.write_text(
        lines({"type": "dataset", "task": "depth"}, {**image, "split": "train"}, {**image, "split": "val"})
    )
    file = sources.prepare(DataConfig(source=str(source)), Task.depth, tmp_path / "cache", quiet)
    assert check(file, Task.depth, deep=True).splits["train"].labelled == 1


IMAGE = '{"type": "image", "file": "a.jpg", "url": "http://h/a.jpg", "split": "train", "annotations": {}}\n'


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"type": "dataset"}\n', "line 1 describes no images"),
        ('{"type": "dataset"}\n{"file": "a.jpg"\n', "line 2 is no JSON: Expecting ',' delimiter in column 17"),
        ('{"type": "dataset"}\n' + IMAGE.replace("train", "training") * 2, "line 2 has the split 'training'"),
        ('{\n "type": "dataset"\n}\n', "line 1 is no JSON"),
        (IMAGE * 2, "line 1 is an image"),
        ('{"type": "dataset", "task": "detection"}\n' + IMAGE, "line 1 has the task 'detection'"),
        ('{"type": "dataset"}\n' + IMAGE.replace("train", "test") * 2, "has 0 images in train and none in val"),
        ('{"type": "dataset"}\n\n' + IMAGE * 2 + IMAGE.replace("train", "x") , "line 5 has the split 'x'"),
        ('{"type": "dataset"}\n' + IMAGE.replace("http://h/a.jpg", "") * 2, "line 2 has no url for a.jpg"),
        ("[1]\n", "line 1 holds list"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_ndjson_is_told_with_its_line(content: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "parts.ndjson").write_text(content)
    assert found in problem(str(tmp_path / "parts.ndjson"), Task.detect, tmp_path / "cache").found
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and not path.name.endswith(".lock")]


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
    assert "model=yolo26n-cls" in problem(str(file), Task.detect, tmp_path / "cache").instead


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
    assert found in problem(str(tmp_path / name), Task.detect, tmp_path / "cache").found


def test_members_that_would_leave_the_folder_do_not(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.add(__file__, "../../escaped.py")
    assert "cannot be unpacked" in problem(str(tmp_path / "bad.tar"), Task.detect, tmp_path / "cache").found
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
    assert found in problem(source, Task.detect, tmp_path / "cache").found


def test_a_server_that_sends_too_little_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [b"123", b"12345"]

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(answers.pop(0))

    monkeypatch.setattr("yoloscale.datasets.download.time.sleep", lambda seconds: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        download_module.download(f"http://127.0.0.1:{server.server_port}/a", tmp_path / "a")
        server.shutdown()
        thread.join()
    assert (tmp_path / "a").read_bytes() == b"12345"
    assert os.listdir(tmp_path) == ["a"]  # noqa: PTH208


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
    told = problem(str(file), Task.detect, tmp_path / "cache")
    assert str(file) in told.found
    assert not list((tmp_path / "cache" / "opened").glob("set-*"))


def test_images_of_an_export_that_failed_do_not_serve_another_one(
    served: tuple[Path, str, list[str]], tmp_path: Path
) -> None:
    folder, address, _ = served
    for number, name in enumerate("abc"):
        picture(folder / f"{name}.jpg", number)
    header = {"type": "dataset", "task": "detect", "class_names": {"0": "a"}}

    def export(*names: str) -> str:
        splits = zip(names, ("train", "val"), strict=True)
        images = [
            {"type": "image", "file": "1.jpg", "url": f"{address}/{name}.jpg", "split": split, "annotations": {}}
            for name, split in splits
        ]
        (folder / "parts.ndjson").write_text(lines(header, *images))
        return f"{address}/parts.ndjson"

    assert "cannot be had" in problem(export("a", "absent"), Task.detect, tmp_path / "cache").found
    file = sources.prepare(DataConfig(source=export("c", "b")), Task.detect, tmp_path / "cache", quiet)
    (image,) = (file.parent / "images" / "train").iterdir()
    assert image.read_bytes() == (folder / "c.jpg").read_bytes()
