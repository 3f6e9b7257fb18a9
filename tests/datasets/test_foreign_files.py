"""What people name in place of a dataset YAML: told what it is, with a command that writes the YAML."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.datasets.folders import dataset_in

from yoloscale.config.schema import DataConfig, Task
from yoloscale.datasets import sources
from yoloscale.datasets.check import dataset as check
from yoloscale.errors import ConfigError, Problem


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = tmp_path / "config" / "Ultralytics" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"datasets_dir": str(tmp_path / "datasets")}))
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return dataset_in(tmp_path / "my set")


def problem(source: Path) -> Problem:
    with pytest.raises(ConfigError) as raised:
        sources.locate(DataConfig(source=str(source)), Task.detect, Path("cache"))
    return raised.value.problems[0]


def follow(found: Problem, made: Path) -> check.DatasetReport:
    """Run the command of a problem; the report on the YAML that it writes."""
    subprocess.run(["bash", "-c", found.instead.split(";")[0]], check=True)
    source = sources.locate(DataConfig(source=str(made)), Task.detect, Path("cache"))
    return check.check(source, Task.detect)


@pytest.mark.parametrize("prefix", ["", "data/", "/home/me/set/", "./"])
def test_a_data_file_of_darknet(prefix: str, folder: Path) -> None:
    (folder / "obj.names").write_text("bolt\nno\n")
    for split in ("train", "val"):
        (folder / f"{split}.txt").write_text(f"./images/{split}/0.png\n./images/{split}/1.png\n")
    file = folder / "obj.data"
    lines = [f"train  = {prefix}train.txt", f"valid={prefix}val.txt", f"names = {prefix}obj.names", "backup = b/"]
    file.write_text("\n".join(["classes= 2", *lines]))
    found = problem(file)
    assert "data file of Darknet" in found.found
    report = follow(found, folder / "obj.yaml")
    assert report.names == ("bolt", "no")
    assert [split.images for split in report.splits.values()] == [2, 2]


def test_a_list_of_images(folder: Path) -> None:
    (folder / "classes.txt").write_text("bolt\nnut\n")
    (folder / "all.txt").write_text("./images/train/0.png\n./images/val/0.png\n")
    found = problem(folder / "all.txt")
    assert "is a list of images" in found.found
    report = follow(found, folder / "data.yaml")
    assert report.names == ("bolt", "nut")
    assert report.splits["train"].images == 2


@pytest.mark.parametrize("name", ["classes.txt", "obj.names"])
def test_names_of_classes_and_a_folder_without_a_yaml(name: str, folder: Path) -> None:
    (folder / name).write_text("bolt\n'nut'\n")
    for source in (folder / name, folder):
        found = problem(source)
        assert "names of classes" in found.found or "holds no dataset YAML" in found.found
        assert follow(found, folder / "data.yaml").names == ("bolt", "'nut'")
        (folder / "data.yaml").unlink()


def test_a_folder_of_images_without_splits(folder: Path) -> None:
    for kind in ("images", "labels"):
        (folder / kind / "val").rename(folder / f"not-{kind}")
        for file in (folder / kind / "train").iterdir():
            file.rename(folder / kind / file.name)
        (folder / kind / "train").rmdir()
    assert follow(problem(folder), folder / "data.yaml").splits["train"].labelled == 2


@pytest.mark.parametrize(
    ("name", "content", "found", "instead"),
    [
        ("data.yaml.txt", "train: a\n", "a YAML with .txt behind its name", "mv "),
        ("a.jpg", "", "is an image", "dataset YAML"),
        ("best.pt", "", "holds weights", "write model="),
        ("instances.json", '{"images": [], "annotations": []}', "as COCO writes them", "convert_coco"),
        ("set.csv", "a,b\n", "is no dataset YAML", "train:, val: and names:"),
    ],
)
def test_other_files(name: str, content: str, found: str, instead: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    told = problem(tmp_path / name)
    assert found in told.found
    assert instead in told.instead


def test_a_yaml_below_a_folder_is_found_as_ultralytics_finds_it(folder: Path, tmp_path: Path) -> None:
    from ultralytics.data.utils import find_dataset_yaml

    text = "train: images/train\nval: images/val\nnames: [a]\n"
    (folder / "DATA.YAML").write_text(text)
    assert sources.locate(DataConfig(source=str(folder / "DATA.YAML")), Task.detect, Path("cache")).name == "DATA.YAML"
    (folder / "second.yml").write_text(text)
    assert sources.locate(DataConfig(source=str(tmp_path)), Task.detect, Path("cache")) == folder / "second.yml"
    assert find_dataset_yaml(tmp_path) == folder / "second.yml"
    (folder / "third.yaml").write_text(text)
    assert sources.locate(DataConfig(source=str(tmp_path)), Task.detect, Path("cache")) == folder / "third.yaml"
    assert find_dataset_yaml(tmp_path) == folder / "third.yaml"
    (folder / "fourth.yaml").write_text(text)
    told = problem(tmp_path)
    assert "2 YAML files: my set/fourth.yaml, my set/third.yaml" in told.found
    assert told.instead == f"write one: data={folder}/fourth.yaml"


@pytest.mark.parametrize("name", ["classes.txt", "all.txt", "data.data", "data.yaml.txt"])
def test_a_dataset_yaml_that_is_there_is_named_and_not_overwritten(name: str, folder: Path) -> None:
    content = {
        "classes.txt": "bolt\n",
        "all.txt": "./images/train/0.png\n",
        "data.data": "train = all.txt\nclasses = 1\n",
        "data.yaml.txt": "train: a\n",
    }
    (folder / name).write_text(content[name])
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [bolt]\n")
    assert problem(folder / name).instead == f"write data='{folder}/data.yaml'"
