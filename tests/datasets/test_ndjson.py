"""NDJSON: converted once, into the cache, whole or not at all; the same as Ultralytics makes of it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from tests.datasets.folders import picture, problem_of, quiet

from yoloscale.config.schema import DataConfig, Task
from yoloscale.datasets import sources
from yoloscale.datasets.check.dataset import check
from yoloscale.errors import ConfigError

HASH = "0123456789abcdef0123456789abcdef"


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
    found = problem_of(str(tmp_path / "parts.ndjson"), Task.detect, tmp_path / "cache")
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
    assert "model=yolo26n-cls" in problem_of(str(source), Task.detect, tmp_path / "cache").instead


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
    assert found in problem_of(str(tmp_path / "parts.ndjson"), Task.detect, tmp_path / "cache").found
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and not path.name.endswith(".lock")]


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

    assert "cannot be had" in problem_of(export("a", "absent"), Task.detect, tmp_path / "cache").found
    file = sources.prepare(DataConfig(source=export("c", "b")), Task.detect, tmp_path / "cache", quiet)
    (image,) = (file.parent / "images" / "train").iterdir()
    assert image.read_bytes() == (folder / "c.jpg").read_bytes()
