from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.config.errors import ConfigError
from yoloscale.runs.listing import all_runs, find


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "config.yaml").write_text("{}")


def test_only_folders_with_a_config_are_runs(tmp_path: Path) -> None:
    make(tmp_path, "one", "it's $(touch x)")
    (tmp_path / "no run").mkdir()
    (tmp_path / "file").touch()
    assert {run.name for run in all_runs(tmp_path)} == {"one", "it's $(touch x)"}
    assert all_runs(tmp_path / "absent") == []


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a b")
    assert find("a b", tmp_path).path == tmp_path / "a b"
    assert find(str(tmp_path / "a b"), Path("elsewhere")).name == "a b"
    monkeypatch.chdir(tmp_path / "a b")
    assert find(".", Path("runs")).name == "a b", "the run one stands in"


def test_near_names_are_suggested(tmp_path: Path) -> None:
    make(tmp_path, "yolo26n-coco8", "other")
    with pytest.raises(ConfigError, match="did you mean 'yolo26n-coco8'"):
        find("yolo26-coco8", tmp_path)
    with pytest.raises(ConfigError, match="no run below"):
        find("", tmp_path)
