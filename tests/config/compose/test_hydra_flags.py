from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from yoloscale.config.compose.hydra import compose, run_hydra_flags
from yoloscale.config.schema import CheckpointConfig
from yoloscale.errors import ConfigError


def test_no_flag_means_there_is_a_run_to_start() -> None:
    assert run_hydra_flags(["epochs=3", "--config-dir", "."]) is None


def test_cfg_job_prints_the_composed_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    argv = list(sys.argv)
    assert run_hydra_flags(["--cfg", "job", "data=coco8", "classes=0,2", "name=it's $(x)"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert (printed["data"]["source"], printed["classes"], printed["name"]) == ("coco8.yaml", [0, 2], "it's $(x)")
    assert sys.argv == argv


def test_one_package_with_configs_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\ncheckpoint:\n  keep: 9\n")
    argv = ["-c", "job", "--package", "checkpoint", "--config-dir", str(tmp_path), "experiment=mine", "--resolve"]
    assert run_hydra_flags(argv) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {**asdict(CheckpointConfig()), "interval": "auto", "keep": 9}


@pytest.mark.parametrize(
    ("argv", "shown"),
    [(["--info", "defaults"], "model/yolo26n"), (["--info", "searchpath"], "main"), (["--hydra-help"], "== Flags ==")],
)
def test_hydra_answers_about_itself(capsys: pytest.CaptureFixture[str], argv: list[str], shown: str) -> None:
    assert run_hydra_flags(argv) == 0
    assert shown in capsys.readouterr().out


def test_help_is_short_and_shows_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_hydra_flags(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 50
    assert max(map(len, lines)) <= 120
    assert any(line.strip().startswith("yoloscale train data=") for line in lines)


def test_mistakes_are_told_before_hydra_is_asked() -> None:
    with pytest.raises(ConfigError, match="epochs"):
        run_hydra_flags(["--cfg", "job", "epoch=3"])


def test_hydra_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_hydra_flags(["--cfg", "job"])
    compose([])
    assert list(tmp_path.iterdir()) == []
