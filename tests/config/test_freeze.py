from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from yoloscale.config.freeze import Sections, freeze, load, load_own
from yoloscale.config.schema import (
    ClusterConfig,
    Config,
    DataConfig,
    Device,
    LoggerConfig,
    ModelConfig,
    PathsConfig,
    ShapesConfig,
    Task,
    WandbConfig,
    WandbMode,
)
from yoloscale.errors import ConfigError


def awkward_config() -> Config:
    return Config(
        name='it\'s "$(x)" ${HOME} \\${y} {z}',
        batch=0.7,
        lr0=1e-5,
        freeze=[0, "23.cv2"],
        scale=[0.5, 1.5],
        amp="bf16",
        model=ModelConfig(name="m", task=Task.pose, weights="a b/c,d.pt"),
        data=DataConfig(source="shapes", shapes=ShapesConfig(seed=3)),
        cluster=ClusterConfig(device=Device.cuda, gpus=[0, 1], procs_per_node=2),
        logger=LoggerConfig(wandb=WandbConfig(mode=WandbMode.offline, tags=["a", "b c"])),
        paths=PathsConfig(cache="/cache é"),
    )


def test_what_was_frozen_is_loaded(tmp_path: Path) -> None:
    freeze(awkward_config(), tmp_path / "config.yaml")
    assert load(tmp_path / "config.yaml") == awkward_config()
    assert isinstance(load(tmp_path / "config.yaml").batch, float)


def test_a_run_holds_no_path_to_itself(tmp_path: Path) -> None:
    freeze(Config(paths=PathsConfig(runs=str(tmp_path))), tmp_path / "config.yaml")
    assert str(tmp_path) not in (tmp_path / "config.yaml").read_text()
    assert load(tmp_path / "config.yaml").paths.runs == "runs"


def test_freezing_leaves_one_file_and_replaces_it(tmp_path: Path) -> None:
    freeze(Config(epochs=1), tmp_path / "config.yaml")
    freeze(Config(epochs=2), tmp_path / "config.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert load(tmp_path / "config.yaml").epochs == 2


@pytest.mark.parametrize("content", ["", "- 1", "epochs: many", "no_such_key: 1", "a: [", "\x00"])
def test_a_damaged_file_is_a_config_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load(tmp_path / "config.yaml")


def test_an_absent_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "config.yaml")


def test_the_file_is_plain_yaml(tmp_path: Path) -> None:
    freeze(awkward_config(), tmp_path / "config.yaml")
    plain = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert plain["model"]["task"] == "pose"
    assert plain["lr0"] == 1e-5


@pytest.mark.parametrize("edit", ["", "# by hand\n", "callbacks:\n- a:b\n- c:d\n", "'seed': 7\n"])
def test_a_config_is_the_same_read_by_its_sections(tmp_path: Path, edit: str) -> None:
    """Also where a person has edited it."""
    known = Sections()
    for rate in (0.1, 0.2):
        path = tmp_path / f"{rate}.yaml"
        freeze(replace(awkward_config(), lr0=rate, callbacks=["m:f"]), path)
        path.write_text(path.read_text() + edit)
        assert load_own(path, known) == load_own(path) == load(path)
