"""Variables of W&B and MLflow: they hold where nothing is typed, are frozen, and those that do nothing are told."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wandb
from mlflow import environment_variables as mlflow_variables

from yoloscale.config.check.service_variables import MLFLOW_VARIABLES, WANDB_VARIABLES, unread, with_variables
from yoloscale.config.compose.hydra import compose
from yoloscale.config.schema import ClusterConfig, Config, LoggerConfig, MlflowConfig, WandbConfig, WandbMode
from yoloscale.track import wandb_run


def with_wandb(**given: Any) -> Config:
    return Config(logger=LoggerConfig(wandb=WandbConfig(**given)))


def with_mlflow(**given: Any) -> Config:
    return Config(logger=LoggerConfig(mlflow=MlflowConfig(**given)))


def filled(config: Config, environ: dict[str, str], home: Path, **given: Any) -> Any:
    logger = with_variables(config, environ=environ, home=home, **given).logger
    return logger.wandb or logger.mlflow


@pytest.mark.parametrize(
    ("variable", "value", "key", "expected"),
    [
        ("WANDB_PROJECT", "parts", "project", "parts"),
        ("WANDB_ENTITY", "vision", "entity", "vision"),
        ("WANDB_RUN_GROUP", "ablation", "group", "ablation"),
        ("WANDB_JOB_TYPE", "tune", "job_type", "tune"),
        ("WANDB_TAGS", "a, b,", "tags", ["a", "b"]),
        ("WANDB_NOTES", "the first, of many", "notes", "the first, of many"),
        ("WANDB_NAME", "pretty", "name", "pretty"),
        ("WANDB_MODE", "offline", "mode", WandbMode.offline),
        ("WANDB_BASE_URL", "https://wandb.example.org/", "base_url", "https://wandb.example.org"),
    ],
)
def test_wandbs_variables_hold_where_the_key_was_not_typed(
    tmp_path: Path, variable: str, value: str, key: str, expected: object
) -> None:
    assert getattr(filled(with_wandb(), {variable: value}, tmp_path), key) == expected
    typed = WandbMode.disabled if key == "mode" else ["mine"] if key == "tags" else "https://mine"
    assert getattr(filled(with_wandb(**{key: typed}), {variable: value}, tmp_path), key) == typed


def test_without_variables_it_is_what_it_always_was(tmp_path: Path) -> None:
    found = filled(with_wandb(), {}, tmp_path)
    assert found == WandbConfig(WandbMode.online, project="yoloscale", job_type="train", tags=[])
    assert filled(with_mlflow(), {}, tmp_path) == MlflowConfig(experiment="yoloscale")


def test_what_wandbs_own_commands_have_kept_comes_after_the_variables(tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("[default]\nproject = kept\nentity = team\nbase_url = http://here:8080\n")
    environ = {"WANDB_CONFIG_DIR": str(tmp_path), "WANDB_PROJECT": "said"}
    found = filled(with_wandb(), environ, tmp_path)
    assert (found.project, found.entity, found.base_url) == ("said", "team", "http://here:8080")


def test_the_variables_are_those_that_the_installed_wandb_reads(tmp_path: Path) -> None:
    names = {"group": "run_group", "job_type": "run_job_type", "tags": "run_tags", "notes": "run_notes"}
    for key, variable, setting, _ in WANDB_VARIABLES:
        settings = wandb.Settings()
        settings.update_from_env_vars({variable: "word"})
        expected = ("word",) if key == "tags" else "word"
        value = getattr(settings, setting)
        assert (tuple(value) if key == "tags" else value) == expected, variable
        assert setting == names.get(key, "run_name" if key == "name" else key)


def test_no_argument_of_init_hides_a_variable_that_nobody_reads() -> None:
    """Whatever is handed to wandb.init hides wandb's own variable of it, so that each is filled here or told."""
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(wandb_run._start))) if isinstance(node, ast.Call)]
    (init,) = [call for call in calls if ast.unparse(call.func) == "wandb.init"]
    handled = {key for key, *_ in WANDB_VARIABLES} | {"mode"}
    ours = {
        "id",
        "resume",
        "dir",
        "config",
        "settings",
    }  # WANDB_RUN_ID: worker/train/tracking.py; the rest is told
    assert {keyword.arg for keyword in init.keywords} == handled | ours


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "tracking_uri"),
        ("MLFLOW_TRACKING_URI", "sqlite:///runs.db", "tracking_uri"),
        ("MLFLOW_EXPERIMENT_NAME", "parts", "experiment"),
        ("MLFLOW_RUN", "first", "name"),
    ],
)
def test_mlflows_variables_hold_where_the_key_was_not_typed(
    tmp_path: Path, variable: str, value: str, key: str
) -> None:
    assert getattr(filled(with_mlflow(), {variable: value}, tmp_path), key) == value
    assert getattr(filled(with_mlflow(**{key: "mine"}), {variable: value}, tmp_path), key) == "mine"


def test_mlflow_has_variables_of_these_names() -> None:
    of_mlflow = [variable for _, variable, _ in MLFLOW_VARIABLES if variable != "MLFLOW_RUN"]
    assert all(hasattr(mlflow_variables, variable) for variable in of_mlflow)


def test_a_login_in_an_address_is_never_frozen(tmp_path: Path) -> None:
    environ = {"MLFLOW_TRACKING_URI": "http://me:pw@host", "WANDB_BASE_URL": "https://me:pw@host"}
    assert filled(with_mlflow(), environ, tmp_path).tracking_uri is None
    assert filled(with_wandb(), environ, tmp_path).base_url is None


def test_a_run_that_goes_on_keeps_what_it_was_frozen_with(tmp_path: Path) -> None:
    frozen = with_wandb(mode=WandbMode.online, project="first", job_type="train", tags=[])
    environ = {"WANDB_PROJECT": "second", "WANDB_ENTITY": "other", "WANDB_MODE": "offline"}
    found = with_variables(with_wandb(), frozen, environ=environ, home=tmp_path)
    assert found.logger == frozen.logger
    added = with_variables(with_mlflow(), frozen, environ={"MLFLOW_EXPERIMENT_NAME": "new"}, home=tmp_path)
    assert added.logger.mlflow is not None
    assert added.logger.mlflow.experiment == "new", "a logger that the run did not have"


@pytest.mark.parametrize("variable", ["WANDB_NAME", "MLFLOW_RUN"])
def test_a_name_for_one_run_is_none_for_many_nor_beside_name(tmp_path: Path, variable: str) -> None:
    config = with_wandb() if variable == "WANDB_NAME" else with_mlflow()
    environ = {variable: "pretty"}
    assert filled(config, environ, tmp_path).name == "pretty"
    assert unread(config, environ=environ, home=tmp_path) == []
    assert filled(config, environ, tmp_path, in_sweep=True).name is None
    (line,) = unread(config, in_sweep=True, environ=environ, home=tmp_path)
    assert variable in line
    named = replace(config, name="mine")
    assert filled(named, environ, tmp_path).name is None
    (line,) = unread(named, environ=environ, home=tmp_path)
    assert "name=mine" in line


@pytest.mark.parametrize(
    ("config", "variable", "word"),
    [
        (with_wandb(), "WANDB_DIR", "folder"),
        (with_wandb(), "WANDB_RESUME", "own W&B run"),
        (with_mlflow(), "MLFLOW_EXPERIMENT_ID", "logger.mlflow.experiment"),
        (with_mlflow(), "MLFLOW_RUN_ID", "of its own"),
    ],
)
def test_what_does_nothing_is_told_where_the_logger_is_on(
    tmp_path: Path, config: Config, variable: str, word: str
) -> None:
    (line,) = unread(config, environ={variable: "x"}, home=tmp_path)
    assert line.startswith(f"{variable} does nothing here")
    assert word in line
    assert unread(Config(), environ={variable: "x"}, home=tmp_path) == []


@pytest.mark.parametrize(
    ("config", "environ", "left"),
    [
        (with_wandb(), {"WANDB_API_KEY": "x"}, ["WANDB_API_KEY"]),
        (with_wandb(mode=WandbMode.offline), {"WANDB_API_KEY": "x"}, []),
        (with_mlflow(), {"MLFLOW_TRACKING_TOKEN": "x", "PATH": "y"}, ["MLFLOW_TRACKING_TOKEN"]),
        (with_mlflow(), {"MLFLOW_TRACKING_URI": "http://a:b@c"}, ["MLFLOW_TRACKING_URI"]),
    ],
)
def test_a_key_that_does_not_reach_the_job_is_told(
    tmp_path: Path, config: Config, environ: dict[str, str], left: list[str]
) -> None:
    for export, expected in ((["HF_HOME"], left), (["HF_HOME", *environ], []), (None, [])):
        config = replace(config, cluster=ClusterConfig(launcher="slurm", export=export))
        lines = unread(config, environ=environ, home=tmp_path)
        assert [line.partition(" ")[0] for line in lines] == expected
        assert all("HF_HOME" in line for line in lines)


def test_the_groups_leave_open_what_the_environment_may_say() -> None:
    logger = compose(["logger=wandb,mlflow"]).logger
    assert (logger.wandb, logger.mlflow) == (WandbConfig(), MlflowConfig())
    offline = compose(["logger=wandb_offline", "logger.wandb.tags=[]"]).logger.wandb
    assert offline == WandbConfig(WandbMode.offline, tags=[])
