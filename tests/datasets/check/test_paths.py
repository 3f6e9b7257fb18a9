"""Paths of a dataset YAML: found where Ultralytics finds them; what to write where they are not, and which is used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.datasets.folders import dataset_in
from ultralytics.data.utils import check_det_dataset

from yoloscale.config.schema import DataConfig, Task
from yoloscale.datasets import sources
from yoloscale.datasets.check import dataset as check
from yoloscale.datasets.check import yaml
from yoloscale.errors import ConfigError

USUAL = "train: images/train\nval: images/val\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder `work` with a dataset `work/det`, and Ultralytics' datasets folder `datasets`."""
    settings = tmp_path / "config" / "Ultralytics" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"datasets_dir": str(tmp_path / "datasets")}))
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "datasets").mkdir()
    dataset_in(tmp_path / "work" / "det")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def prepare(home: Path, text: str, file: str = "work/det/data.yaml") -> list[str]:
    """Prepare and check a dataset; what was said."""
    path = home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}names: [a]\n", encoding="utf-8")
    said: list[str] = []
    source = sources.prepare(DataConfig(source=str(path)), Task.detect, home / "cache", said.append)
    check.check(source, Task.detect)
    return [line.replace(f"{home}/", "") for line in said]


def problems(home: Path, text: str, file: str = "work/det/data.yaml") -> str:
    with pytest.raises(ConfigError) as raised:
        prepare(home, text, file)
    return str(raised.value).replace(f"{home}/", "")


@pytest.mark.parametrize(
    ("text", "place", "found", "instead"),
    [
        ("train: images/train'\nval: images/val\n", "data.yaml:1", "a character too many", "write train: images/train"),
        ("train: images/train\nval: '`images/val` '\n", "data.yaml:2", "a character too many", "write val: images/val"),
        ("train: images/train\nval: images/val;\n", "data.yaml:2", "a character too many", "write val: images/val"),
        (
            "train: images/train <br />\nval: images/val\n",
            "data.yaml:1",
            "words that are no path",
            "train: images/train",
        ),
        (
            "train: images/train\nval: images/val#new\n",
            "data.yaml:2",
            "words that are no path",
            "write val: images/val",
        ),
        ("train: E:\\a\\images\\train\nval: images/val\n", "data.yaml:1", "Windows path", "write train: images/train"),
        ("train: E:\\a\\parts\nval: images/val\n", "data.yaml:1", "Windows path", "the folder of the images"),
        ("train: E:\\a\\train\\images\nval: images/val\n", ":1", "Windows path", "write train: images/train"),
        ("train: E:\\set\\images\nval: images/val\n", ":1", "Windows path", "write the folder of the images"),
        ("train: images/train\nval: E:\\set\\valid\n", "data.yaml:2", "Windows path", "write val: images/val"),
        ("train: images/train\nval: /content/a/valid/images\n", ":2", "there is no /content", "write val: images/val"),
        ("train: images\\train\nval: images/val\n", "data.yaml:1", "backslashes", "write train: images/train"),
        ('train: images/train\nval: "images\\val"\n', "data.yaml:2", "began an escape", "write val: images/val"),
        ("train: train/images\nval: images/val\n", "data.yaml:1", "there is no", "write train: images/train"),
        ("train: images/train\nval: images/valid\n", "data.yaml:2", "there is no", "write val: images/val"),
        ("train: images/train\nval: Images/Val\n", "data.yaml:2", "there is no", "write val: images/val"),
        ("train: /content/det/images/train\nval: images/val\n", ":1", "there is no /content", "train: images/train"),
        ("train: /images/train\nval: images/val\n", "data.yaml:1", "there is no", "write train: images/train"),
        (
            "train:\n- ../images/train\nval: images/val\n",
            "data.yaml:2",
            "work/images/train",
            "images/train in this entry",
        ),
        ("train: ~/parts\nval: images/val\n", "data.yaml:1", "there is no", "home/parts; Ultralytics expands neither"),
        ("train: $HOME/p\nval: images/val\n", "data.yaml:1", "there is no", "home/p; Ultralytics expands neither"),
        ("train: images/train\nval: photographs\n", "data.yaml:2", "there is no", "below work/det"),
        ("train: images/train\nval: labels/val\n", "data.yaml:2", "these are labels", "write val: work/det/images/val"),
        ("train: images/train\nval: notes\n", "data.yaml:2", "holds 2 .md, 1 no suffix", "put images there"),
        ("train: images/train\nval: empty\n", "data.yaml:2", "which is empty", "put images there"),
    ],
)
def test_a_path_that_leads_nowhere(text: str, place: str, found: str, instead: str, home: Path) -> None:
    for folder in ("notes", "empty"):
        (home / "work" / "det" / folder).mkdir()
    for name in ("a.md", "b.md", "c"):
        (home / "work" / "det" / "notes" / name).touch()
    told = problems(home, text)
    assert place in told
    assert found in told
    assert instead in told
    assert len(told.splitlines()) == 2


@pytest.mark.parametrize(
    ("path", "found", "instead"),
    [
        ("nowhere", "neither below the working folder (", "leave the line path: out"),
        ("../det", "neither below the working folder (", "leave the line path: out"),
        ("/content/det", "there is no folder /content/det", "leave the line path: out"),
        ("E:\\parts\\det", "E:\\parts\\det is a Windows path", "leave the line path: out"),
        ("~/parts", "~/parts is neither", "write path: home/parts"),
        ("$HOME/parts", "$HOME/parts is neither", "write path: home/parts"),
        ("det/images", "det/images is work/det/images, where there is no images/train", "leave the line path: out"),
    ],
)
def test_a_root_that_leads_astray_is_one_problem(path: str, found: str, instead: str, home: Path) -> None:
    if "parts" in instead:
        dataset_in(home / "home" / "parts")
    told = problems(home, f"path: {path}\n{USUAL}")
    assert "data.path: work/det/data.yaml:1: " in told
    assert found in told
    assert instead in told
    assert "data.train" not in told


def test_a_root_that_is_found_nowhere(home: Path) -> None:
    told = problems(home, f"path: parts\n{USUAL}", "work/other/data.yaml")
    assert "data.path: work/other/data.yaml:1: parts is neither" in told
    assert "write path: and the folder that holds images/train" in told


@pytest.mark.parametrize(
    ("text", "also", "words"),
    [
        (f"path: .\n{USUAL}", "work", "1: path: . is {work} (the working folder comes first"),
        (f"path: det\n{USUAL}", "datasets/det", "1: path: det is work/det (the working folder comes first"),
        (f"path: shared\n{USUAL}", "datasets/shared work/det/shared", "1: path: shared is datasets/shared ("),
        (
            "train: ../images/train\nval: images/val\n",
            "work",
            "1: ../images/train is work/images/train; work/det/images/train is there too and is not used",
        ),
    ],
)
def test_of_several_folders_the_one_that_is_used_is_told(text: str, also: str, words: str, home: Path) -> None:
    for folder in also.split():
        dataset_in(home / folder)
    (said,) = prepare(home, text)
    assert words.format(work=home / "work").replace(f"{home}/", "") in said
    assert "there too and" in said


@pytest.mark.parametrize(
    "text",
    [
        USUAL,
        f"path: det\n{USUAL}",
        f"path: shared\n{USUAL}",
        f"path: ''\n{USUAL}",
        f"path: ../work/det\n{USUAL}",
        "train: ../images/train\nval: ../images/val\n",
        "path: .\ntrain: [det/images/train, det/images/val]\nval: det/images/val\n",
    ],
)
def test_it_is_the_folder_of_ultralytics(text: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ultralytics.data.utils.DATASETS_DIR", home / "datasets")
    monkeypatch.setattr("ultralytics.data.utils.check_font", lambda font: None)  # it would be downloaded
    dataset_in(home / "datasets" / "shared")
    prepare(home, text)
    file = home / "work" / "det" / "data.yaml"
    theirs, ours = check_det_dataset(str(file), autodownload=False), yaml.read(file, lambda: home / "datasets")
    for split in ("train", "val"):
        expected = theirs[split] if isinstance(theirs[split], list) else [theirs[split]]
        assert [str(path) for path in ours.splits[split]] == expected
