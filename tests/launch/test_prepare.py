from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.config.errors import ConfigError
from yoloscale.config.schema import Config, LoggerConfig, ModelConfig, ShapesConfig, Task
from yoloscale.launch.prepare import prepare


def test_a_logger_that_is_not_installed_is_told_before_any_rank_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yoloscale.launch.prepare.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"yoloscale\[tensorboard\]"):
        prepare(Config(logger=LoggerConfig(tensorboard=True)), print)


def test_what_only_the_file_of_a_model_tells_of_an_argument_is_said(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("nc: 4\nbackbone: [[-1, 1, Conv, [16, 3, 2]]]\nhead: [[0, 1, RTDETRDecoder, [nc]]]\n")
    config = Config(augment=True, rect=True, lr0=0.1)
    config.model = ModelConfig(task=Task.detect, architecture=str(own))
    config.data.shapes = ShapesConfig(train_images=4, val_images=2, image_size=64)
    config.paths.cache = str(tmp_path / "cache")
    said = list[str]()
    prepare(config, said.append)
    lines = [line for line in said if "no effect" in line or "rect" in line]
    assert sorted(line.partition(":")[0] for line in lines) == ["augment=true", "rect=true"]
    assert all("RT-DETR" in line for line in lines)
