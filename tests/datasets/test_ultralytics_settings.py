"""What a person has set with `yolo settings`: weights are found there, and what has no effect here is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from yoloscale.config.schema import Config, LoggerConfig, PathsConfig, WandbConfig
from yoloscale.datasets.sources import locate_weights, prepare_weights
from yoloscale.datasets.ultralytics_settings import unheld

Settings = Callable[..., None]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`settings(key=value, …)`: Ultralytics' settings file, with its defaults in a folder of the test."""
    (tmp_path / "Ultralytics").mkdir()

    def write(**given: Any) -> None:
        defaults = {"runs_dir": "/first/runs", "weights_dir": "/first/weights", "wandb": False, "tensorboard": False}
        (tmp_path / "Ultralytics" / "settings.json").write_text(json.dumps({**defaults, **given}))

    with monkeypatch.context() as patch:
        patch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
        yield write


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, []),
        ({"runs_dir": "/scratch/me"}, ["project=/scratch/me"]),
        ({"weights_dir": "runs/weights", "runs_dir": "runs/runs"}, []),
        ({"wandb": True}, ["logger=wandb"]),
        ({"tensorboard": True, "wandb": True}, ["logger=wandb", "logger=tensorboard"]),
        ({"runs_dir": None, "wandb": "yes"}, []),
    ],
)
def test_what_was_chosen_and_does_nothing_is_told(settings: Settings, given: dict[str, Any], words: list[str]) -> None:
    settings(**given)
    lines = unheld(Config())
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


def test_what_was_typed_needs_no_word(settings: Settings) -> None:
    settings(runs_dir="/scratch/me", wandb=True, tensorboard=True)
    config = Config(logger=LoggerConfig(tensorboard=True, wandb=WandbConfig()), paths=PathsConfig(runs="elsewhere"))
    assert unheld(config) == []
    assert len(unheld(replace(config, logger=LoggerConfig()))) == 2


@pytest.mark.parametrize("content", ["", "[]", "{", "\udcff".encode("utf-8", "surrogateescape")])
def test_a_file_that_cannot_be_read_says_nothing(settings: Settings, tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "Ultralytics" / "settings.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert unheld(Config()) == []
    file.unlink()
    assert unheld(Config()) == []


def test_released_weights_are_found_where_ultralytics_keeps_them(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "yolo99n.pt").write_bytes(b"weights")
    settings(weights_dir=str(tmp_path / "kept"))

    def never(line: str) -> None:
        raise AssertionError(line)

    found = prepare_weights("yolo99n", tmp_path / "cache", never)
    assert found == tmp_path / "cache" / "weights" / "yolo99n.pt"
    assert found.read_bytes() == b"weights"
    assert [file.name for file in found.parent.iterdir()] == ["yolo99n.pt"]
    assert locate_weights("yolo99n.pt", tmp_path / "cache") == found, "also on a node with other settings"
