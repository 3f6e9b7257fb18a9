"""The logger group on a machine: which mode it comes down to, whether there is a key, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.config import validate_logger
from yoloscale.config.schema import LoggerConfig, MlflowConfig, WandbConfig, WandbMode
from yoloscale.config.validate_logger import logger_problems
from yoloscale.config.wandb_access import CLOUD, has_key, mode_of, server_of

ONLINE, OFFLINE, DISABLED = WandbMode.online, WandbMode.offline, WandbMode.disabled


@pytest.mark.parametrize(
    ("asked", "environ", "expected"),
    [
        (ONLINE, {}, ONLINE),
        (ONLINE, {"WANDB_MODE": "offline"}, OFFLINE),
        (ONLINE, {"WANDB_MODE": "dryrun"}, OFFLINE),
        (ONLINE, {"WANDB_MODE": "disabled"}, DISABLED),
        (ONLINE, {"WANDB_DISABLED": "true"}, DISABLED),
        (OFFLINE, {"WANDB_MODE": "online"}, OFFLINE),
        (DISABLED, {"WANDB_MODE": "offline"}, DISABLED),
        (OFFLINE, {"WANDB_MODE": "rubbish"}, OFFLINE),
    ],
)
def test_the_environment_restrains_and_never_lets_loose(
    asked: WandbMode, environ: dict[str, str], expected: WandbMode
) -> None:
    assert mode_of(asked, environ) is expected


def test_the_server_is_the_variables_then_the_settings_files_then_wandbs(tmp_path: Path) -> None:
    assert server_of({}, tmp_path) == CLOUD
    folder = tmp_path / ".config" / "wandb"
    folder.mkdir(parents=True)
    (folder / "settings").write_text("[default]\nbase_url = https://wandb.example.org/\n")
    assert server_of({}, tmp_path) == "https://wandb.example.org"
    assert server_of({"WANDB_BASE_URL": "http://other:8080/"}, tmp_path) == "http://other:8080"
    (folder / "settings").write_text("rubbish")
    assert server_of({}, tmp_path) == CLOUD


def test_a_key_is_found_where_wandb_looks_for_one(tmp_path: Path) -> None:
    assert not has_key({}, tmp_path)
    assert has_key({"WANDB_API_KEY": "x"}, tmp_path)
    assert has_key({"WANDB_IDENTITY_TOKEN_FILE": "/x"}, tmp_path)
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password x\n")
    assert has_key({}, tmp_path)
    assert not has_key({"WANDB_BASE_URL": "https://wandb.example.org"}, tmp_path), "a key of another server"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("machine wandb.example.org login user password x\n")
    assert has_key({"WANDB_BASE_URL": "https://wandb.example.org", "NETRC": str(elsewhere)}, tmp_path)
    (tmp_path / ".netrc").write_text("machine\n")
    assert not has_key({}, tmp_path)


def test_an_online_run_without_a_key_is_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC", "WANDB_BASE_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(tmp_path))
        (problem,) = logger_problems(LoggerConfig(wandb=WandbConfig()))
        assert problem.key == "logger.wandb.mode"
        assert "wandb login" in problem.instead
        assert "wandb_offline" in problem.instead
        assert logger_problems(LoggerConfig(wandb=WandbConfig(mode=OFFLINE))) == []
        patch.setenv("WANDB_API_KEY", "x")
        assert logger_problems(LoggerConfig(wandb=WandbConfig())) == []


@pytest.mark.parametrize(
    ("logger", "key", "instead"),
    [
        (LoggerConfig(wandb=WandbConfig(OFFLINE, tags=["x" * 65])), "logger.wandb.tags", "64"),
        (LoggerConfig(mlflow=MlflowConfig(experiment=" ")), "logger.mlflow.experiment", "name"),
        (LoggerConfig(mlflow=MlflowConfig("http://me:pw@host")), "logger.mlflow.tracking_uri", "MLFLOW_TRACKING"),
    ],
)
def test_what_cannot_work_is_said_before_it_starts(logger: LoggerConfig, key: str, instead: str) -> None:
    (problem,) = logger_problems(logger)
    assert problem.key == key
    assert instead in problem.instead
    assert "pw" not in problem.found


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate_logger.importlib.util, "find_spec", lambda name: None)
    problems = logger_problems(LoggerConfig(tensorboard=True, mlflow=MlflowConfig()))
    assert [problem.instead for problem in problems] == [
        "pip install 'yoloscale[tensorboard]'",
        "pip install 'yoloscale[mlflow]'",
    ]
