from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from yoloscale.config.freeze import Sections, freeze, load, load_own
from yoloscale.config.kinds import KINDS
from yoloscale.config.resuming import FREE_OF_INFERENCE
from yoloscale.config.schema import (
    ClusterConfig,
    Config,
    DataConfig,
    Device,
    EvaluationOrigin,
    InferenceOrigin,
    LoggerConfig,
    ModelConfig,
    PathsConfig,
    PredictConfig,
    PredictSection,
    RunConfig,
    ShapesConfig,
    Task,
    ValConfig,
    View,
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


PREDICTION = PredictConfig(
    name="p",
    id="0123456789ab",
    imgsz=[480, 640],
    source=["it's $(x) ${HOME}", "a,b", "https://host/a.jpg?x=1"],
    model=ModelConfig(task=Task.pose, weights="a b.onnx"),
    predict=PredictSection(save=[View.coco, View.crops], slice=640),
    origin=InferenceOrigin(weights="digest", versions={"torch": "2.14.1"}, images=3),
)
EVALUATION = ValConfig(
    data=DataConfig(source="shapes", shapes=ShapesConfig(seed=3)),
    origin=EvaluationOrigin(dataset="8:digest", images=8),
)


@pytest.mark.parametrize("config", [PREDICTION, EVALUATION], ids=["predict", "val"])
def test_every_kind_is_loaded_as_what_it_was_frozen_as(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    freeze(config, path)
    assert path.read_text().startswith(f"kind: {config.kind}\n")
    for loaded in (load(path, of=RunConfig), load(path, of=type(config)), load_own(path, of=RunConfig)):
        assert loaded == config
        assert repr(loaded) == repr(config), "members of an Enum, too"
    assert load_own(path, Sections(), of=RunConfig) == config


def test_of_another_kind_is_an_error_that_says_which(tmp_path: Path) -> None:
    freeze(PREDICTION, tmp_path / "predict.yaml")
    freeze(Config(), tmp_path / "train.yaml")
    with pytest.raises(ConfigError, match=r"predict\.yaml: a predict run, where a train run is wanted"):
        load(tmp_path / "predict.yaml")
    with pytest.raises(ConfigError, match=r"a train run, where a predict run is wanted"):
        load(tmp_path / "train.yaml", of=PredictConfig)
    with pytest.raises(ConfigError, match=r"a predict run, where a val run is wanted"):
        load_own(tmp_path / "predict.yaml", of=ValConfig)


def test_a_config_of_before_there_were_kinds_trains(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("epochs: 3\ncluster:\n  procs_per_node: 2\n")
    assert load(tmp_path / "config.yaml", of=RunConfig) == Config(epochs=3, cluster=ClusterConfig(procs_per_node=2))
    freeze(Config(), tmp_path / "again.yaml")
    assert "kind:" not in (tmp_path / "again.yaml").read_text()


def test_a_kind_of_another_version_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("kind: dream\n")
    with pytest.raises(ConfigError, match=r"'dream'\n.*train, bench, bench_predict, predict, val"):
        load(tmp_path / "config.yaml", of=RunConfig)


@pytest.mark.parametrize("name", KINDS)
def test_rows_name_what_there_is(name: str) -> None:
    kind = KINDS[name]
    assert kind.load_schema().kind == name
    assert issubclass(kind.load_schema(), RunConfig)
    assert callable(kind.load_rules())
    assert callable(kind.load_preparation())
    assert callable(kind.load_program())
    assert issubclass(kind.load_schema(), Config) or name in FREE_OF_INFERENCE, "it can be resumed"
