from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from yoloscale.config.check import logger as validate_logger
from yoloscale.config.check.ranks_environment import other_environment
from yoloscale.config.schema import (
    ClusterConfig,
    Config,
    DataCheck,
    LoggerConfig,
    ModelConfig,
    ShapesConfig,
    Task,
)
from yoloscale.datasets import fetch
from yoloscale.errors import ConfigError
from yoloscale.launch.prepare import prepare


def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate_logger.importlib.util, "find_spec", lambda name: None)


def on_slurm(**keys: Any) -> Config:
    config = Config()
    config.cluster = ClusterConfig(launcher="slurm", **keys)
    return config


def test_a_logger_that_is_not_installed_is_told_before_any_rank_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    no_package(monkeypatch)
    with pytest.raises(ConfigError, match=r"yoloscale\[tensorboard\]"):
        prepare(Config(logger=LoggerConfig(tensorboard=True)), print)


ELSEWHERE: list[dict[str, Any]] = [
    {"container_image": "images/mine.sqsh"},
    {"python": "/opt/conda/envs/mine/bin/python"},
    {"setup": ["module load conda", "conda activate mine"]},
    {"env": {"PYTHONPATH": "/projects/mine"}},
]


@pytest.mark.parametrize(
    ("cluster", "key"),
    [
        *zip(
            ELSEWHERE,
            ("cluster.container_image", "cluster.python", "cluster.setup", "cluster.env.PYTHONPATH"),
            strict=True,
        ),
        ({"python": sys.executable}, None),
        ({"env": {"NCCL_DEBUG": "INFO"}}, None),
    ],
)
def test_what_gives_the_ranks_another_environment(cluster: dict[str, Any], key: str | None) -> None:
    assert other_environment(on_slurm(**cluster).cluster) == key
    assert other_environment(ClusterConfig(**cluster)) is None, "its ranks run here"


@pytest.mark.parametrize("cluster", ELSEWHERE)
def test_what_only_the_ranks_environment_can_lack_is_said_and_not_refused(
    monkeypatch: pytest.MonkeyPatch, cluster: dict[str, Any]
) -> None:
    no_package(monkeypatch)
    answers = {
        "callbacks": [("callbacks", "mine:on_train_end: there is no module 'mine'", "write it", False)],
        "augmentations": [("augmentations", "the package albumentations is not installed", "pip install")],
    }
    monkeypatch.setattr(fetch, "run_fetch", lambda arguments, say: json.dumps(answers[arguments[0]]))
    config = replace(on_slurm(**cluster), callbacks=["mine:on_train_end"], augmentations=[{"Blur": {}}])
    config.logger.tensorboard = True
    config.data.check, config.data.source = DataCheck.later, "/nodes/only.yaml"
    config.model = ModelConfig(task=Task.detect, architecture="yolo26n.yaml")
    said = list[str]()
    prepare(config, said.append)
    assert [line.partition(":")[0] for line in said] == ["logger.tensorboard", "callbacks", "augmentations"]
    assert all(f"({other_environment(config.cluster)})" in line for line in said)
    config.cluster.container_image, config.cluster.setup, config.cluster.env, config.cluster.python = None, [], {}, None
    with pytest.raises(ConfigError) as raised:
        prepare(config, print)
    told = ["logger.tensorboard", "callbacks", "augmentations"]
    assert [problem.key for problem in raised.value.problems] == told, "all at once"
    for alone in ({"callbacks": []}, {"augmentations": None}):
        with pytest.raises(ConfigError):
            prepare(replace(config, logger=LoggerConfig(), **alone), print)


@pytest.mark.parametrize("keys", [{"augmentations": [{"Blur": {}}]}, {"callbacks": ["mine:on_train_end"]}])
def test_a_package_that_breaks_python_here_may_not_do_so_in_another_environment(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    def breaks(arguments: list[str], say: Any) -> str:
        raise fetch.FetchError("exit code -11")

    monkeypatch.setattr(fetch, "run_fetch", breaks)
    config = replace(on_slurm(container_image="images/mine.sqsh"), **keys)
    config.data.check, config.data.source = DataCheck.later, "/nodes/only.yaml"
    config.model = ModelConfig(task=Task.detect, architecture="yolo26n.yaml")
    said = list[str]()
    prepare(config, said.append)
    (line,) = said
    assert line.startswith(next(iter(keys)))
    assert "exit code -11" in line
    config.cluster.container_image = None
    with pytest.raises(ConfigError, match="exit code -11"):
        prepare(config, print)


def test_what_holds_in_any_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [("callbacks", "mine:on_train_edn: did you mean on_train_end?", "write it", True)]
    monkeypatch.setattr(fetch, "run_fetch", lambda arguments, say: json.dumps(answer))
    with pytest.raises(ConfigError, match="did you mean"):
        prepare(replace(on_slurm(**ELSEWHERE[0]), callbacks=["on_train_end=mine:on_train_edn"]), print)


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
