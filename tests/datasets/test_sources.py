"""From `data=` and `model=` to files: names, paths, folders; present, absent, downloaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from yoloscale.config.schema import DataConfig, ShapesConfig, Task
from yoloscale.datasets import sources, ultralytics_paths
from yoloscale.datasets.fetch import FetchError, run_fetch
from yoloscale.errors import ConfigError, Problem


def quiet(text: str) -> None:
    """Take what `say` would print."""


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ultralytics' datasets folder, as its settings name it."""
    folder = tmp_path / "datasets"
    folder.mkdir()
    settings = tmp_path / "config" / "Ultralytics" / "settings.json"
    settings.parent.mkdir(parents=True)
    defaults = {"datasets_dir": str(folder), "weights_dir": str(tmp_path / "ultralytics-weights")}
    settings.write_text(json.dumps(defaults))
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return folder


def make_dataset(folder: Path, yaml_text: str = "train: images/train\nval: images/val\nnames: [thing]\n") -> Path:
    """A dataset YAML whose image folders exist."""
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
    file = folder / "data.yaml"
    file.write_text(yaml_text)
    return file


def problem(source: str, task: Task = Task.detect) -> Problem:
    """What `locate` says is wrong with a source."""
    with pytest.raises(ConfigError) as raised:
        sources.locate(DataConfig(source=source), task, Path("cache"))
    return raised.value.problems[0]


def test_a_path_a_folder_and_a_name_are_found(tmp_path: Path, datasets: Path) -> None:
    file = make_dataset(tmp_path / "my data $(x) 'q'")
    for source in (str(file), str(file.parent), "my data $(x) 'q'/data.yaml"):
        assert sources.locate(DataConfig(source=source), Task.detect, tmp_path) == file
    (datasets / "coco8" / "images" / "train").mkdir(parents=True)
    (datasets / "coco8" / "images" / "val").mkdir()
    for source in ("coco8", "coco8.yaml"):
        found = sources.locate(DataConfig(source=source), Task.detect, tmp_path)
        assert found == ultralytics_paths.dataset_yamls()["coco8.yaml"]


def test_what_is_there_needs_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_dataset(tmp_path / "mine")
    monkeypatch.setattr(subprocess, "Popen", None)
    assert sources.prepare(DataConfig(source=str(file)), Task.detect, tmp_path, quiet) == file


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    file = make_dataset(tmp_path / "mine")
    (file.parent / "images" / "val").rmdir()
    assert "images/val" in problem(str(file)).found
    assert "coco8 " in problem("coco88").instead + " "
    assert "no dataset and no file" in problem("there/is/no.yaml").found
    assert "not unpacked yet" in problem("some.zip").found
    assert "classification dataset" in problem("imagenette").found
    assert "is a dataset YAML" in problem("coco8", Task.classify).found
    assert "holds no dataset YAML" in problem(str(tmp_path / "datasets")).found
    assert "boxes only" in problem("trees", Task.pose).found
    assert "yoloscale data prepare" in problem("shapes").instead


def test_shapes_are_rendered_by_prepare_and_found_by_locate(tmp_path: Path) -> None:
    data = DataConfig(shapes=ShapesConfig(train_images=2, val_images=1, image_size=64))
    prepared = sources.prepare(data, Task.detect, tmp_path / "cache", quiet)
    assert prepared.is_file()
    assert sources.locate(data, Task.detect, tmp_path / "cache") == prepared
    folder = sources.prepare(data, Task.classify, tmp_path / "cache", quiet)
    assert {path.name for path in folder.iterdir()} >= {"train", "val"}
    assert sources.locate(data, Task.classify, tmp_path / "cache") == folder


def test_classification_takes_a_folder_or_a_name(tmp_path: Path, datasets: Path) -> None:
    (tmp_path / "flowers" / "train").mkdir(parents=True)
    (datasets / "mnist160").mkdir()
    assert sources.locate(DataConfig(source="flowers"), Task.classify, tmp_path) == tmp_path / "flowers"
    assert sources.locate(DataConfig(source="mnist160"), Task.classify, tmp_path) == datasets / "mnist160"
    assert "mnist" in problem("mnits", Task.classify).instead


SCRIPT = """
path: downloaded
train: images/train
val: images/val
names: [thing]
download: |
  from pathlib import Path
  for split in ("train", "val"):
      folder = Path(yaml["path"]) / "images" / split
      folder.mkdir(parents=True)
      (folder / "a.jpg").write_bytes(b"")
"""


def test_an_absent_dataset_is_downloaded_whole_or_not_at_all(tmp_path: Path, datasets: Path) -> None:
    file = tmp_path / "far.yaml"
    file.write_text(SCRIPT + '  raise OSError("cut off")\n')
    with pytest.raises(ConfigError, match="cut off"):
        sources.prepare(DataConfig(source=str(file)), Task.detect, tmp_path, quiet)
    assert [path.name for path in datasets.iterdir()] == [".far.lock"]
    file.write_text(SCRIPT)
    said: list[str] = []
    assert sources.prepare(DataConfig(source=str(file)), Task.detect, tmp_path, said.append) == file
    assert (datasets / "downloaded" / "images" / "val" / "a.jpg").exists()
    assert "downloading" in said[0]


def test_weights_in_the_working_folder_then_in_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(ConfigError, match="pretrained=false"):
        sources.locate_weights("yolo26n.pt", cache)
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "yolo26n.pt").write_bytes(b"cached")
    assert sources.locate_weights("yolo26n", cache) == cache / "weights" / "yolo26n.pt"
    (tmp_path / "yolo26n.pt").write_bytes(b"near")
    assert sources.locate_weights("yolo26n.pt", cache) == tmp_path / "yolo26n.pt"
    assert sources.prepare_weights("yolo26n.pt", cache, quiet) == tmp_path / "yolo26n.pt"


def test_a_path_to_weights_is_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(ConfigError, match=r"some/best.pt does not exist"):
        sources.prepare_weights("some/best.pt", tmp_path, quiet)


def test_released_weights_come_into_the_cache(tmp_path: Path) -> None:
    (tmp_path / "ultralytics-weights").mkdir()
    (tmp_path / "ultralytics-weights" / "yolo26s.pt").write_bytes(b"weights")
    cache = tmp_path / "my 'cache'"
    found = sources.prepare_weights("yolo26s", cache, quiet)
    assert found == cache / "weights" / "yolo26s.pt"
    assert found.read_bytes() == b"weights"
    assert [path.name for path in found.parent.iterdir()] == ["yolo26s.pt"]


def test_without_internet_the_error_names_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens: as good as no network
    with pytest.raises(ConfigError) as raised:
        sources.prepare_weights("yolo26m.pt", tmp_path / "cache", quiet)
    assert "could not be downloaded" in raised.value.problems[0].found
    assert "pretrained=false" in raised.value.problems[0].instead
    assert "model=path/to.pt" in raised.value.problems[0].instead


def test_the_datasets_folder_is_the_one_ultralytics_uses(tmp_path: Path, datasets: Path) -> None:
    assert ultralytics_paths.datasets_folder() == datasets
    assert run_fetch(["datasets-folder"], quiet) == str(datasets)
    ultralytics_paths.settings_file().unlink()
    asked = ultralytics_paths.datasets_folder()
    assert json.loads(ultralytics_paths.settings_file().read_text())["datasets_dir"] == str(asked)


def test_a_request_that_is_none_is_refused() -> None:
    with pytest.raises(FetchError, match="unknown request"):
        run_fetch(["everything"], quiet)


def test_nothing_here_imports_torch_or_ultralytics() -> None:
    code = (
        "import sys; from yoloscale.datasets import sources, ultralytics_paths; ultralytics_paths.dataset_yamls();"
        "print([name for name in ('torch', 'ultralytics', 'cv2', 'numpy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert result.stdout.strip() == "[]"


def test_ranks_do_not_look_for_the_yaml_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "parts"
    for split in ("train", "val"):
        (root / "inner" / split).mkdir(parents=True)
    (root / "inner" / "data.yaml").write_text("train: train\nval: val\nnames: [a]\n")
    data, cache = DataConfig(source=str(root)), tmp_path / "cache"
    found = sources.prepare(data, Task.detect, cache, lambda line: None)
    opened = sources.opened_as(data, cache, found)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a folder is listed")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        patch.setattr(os, "listdir", refuse)
        assert sources.locate(data, Task.detect, cache, opened=opened) == found == root / "inner" / "data.yaml"
    for source in (root / "inner" / "data.yaml", root / "inner"):
        assert sources.opened_as(DataConfig(source=str(root / "inner" / "data.yaml")), cache, source) is None
