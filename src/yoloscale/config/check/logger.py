"""What can be wrong with the `logger` group: names that W&B refuses, no key, packages that are not installed."""

from __future__ import annotations

import importlib.util
import os
import re

from yoloscale.config.check.wandb_access import environment_with, has_key, key_problem, mode_of
from yoloscale.config.schema import LoggerConfig, MlflowConfig, WandbConfig, WandbMode
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.secrets import has_login

MAX_TAG = 64  # characters; W&B's limit


def logger_problems(logger: LoggerConfig) -> list[Problem]:
    """Problems of the group on this machine: the environment and ~/.netrc are looked at, no server is asked."""
    problems = [] if logger.wandb is None else _wandb(logger.wandb)
    return problems if logger.mlflow is None else [*problems, *_mlflow(logger.mlflow)]


def missing_packages(logger: LoggerConfig) -> list[Problem]:
    """Of loggers whose package this environment does not have."""
    in_use = {"tensorboard": logger.tensorboard, "mlflow": logger.mlflow is not None}
    missing = [extra for extra, is_wanted in in_use.items() if is_wanted and importlib.util.find_spec(extra) is None]
    found = "it is not installed"
    return [Problem(f"logger.{extra}", found, f"pip install 'yoloscale[{extra}]'") for extra in missing]


def _wandb(wandb: WandbConfig) -> list[Problem]:
    problems = []
    if wandb.project is not None and (not wandb.project or re.search(r"[/\\#?%:]", wandb.project)):
        instead = "write a name without / \\ # ? % :"
        problems.append(Problem("logger.wandb.project", _found(wandb.project, "WANDB_PROJECT"), instead))
    if wandb.entity is not None and "/" in wandb.entity:
        instead = "write the team or user only; the project is logger.wandb.project"
        problems.append(Problem("logger.wandb.entity", _found(wandb.entity, "WANDB_ENTITY"), instead))
    if wandb.base_url is not None and has_login(wandb.base_url):
        instead = "leave it out of the address: WANDB_API_KEY or `wandb login` says it"
        problems.append(Problem("logger.wandb.base_url", "a login, which would stand in config.yaml", instead))
    if wrong := [tag for tag in wandb.tags or () if not 1 <= len(tag) <= MAX_TAG]:
        problems.append(Problem("logger.wandb.tags", f"{wrong[0]!r}", f"write 1 to {MAX_TAG} characters"))
    if mode_of(wandb.mode) is not WandbMode.online:
        return problems
    try:
        environ = environment_with(wandb.base_url)
        return problems if has_key(environ) else [*problems, key_problem(environ)]
    except ConfigError as error:
        return [*problems, *error.problems]


def _mlflow(mlflow: MlflowConfig) -> list[Problem]:
    problems = []
    if mlflow.experiment is not None and not mlflow.experiment.strip():
        problems.append(Problem("logger.mlflow.experiment", repr(mlflow.experiment), "write a name"))
    if mlflow.tracking_uri is not None and has_login(mlflow.tracking_uri):
        instead = "leave it out of the address: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD say it"
        problems.append(Problem("logger.mlflow.tracking_uri", "a login, which would stand in config.yaml", instead))
    return problems


def _found(value: str, variable: str) -> str:
    return repr(value) + (f", from {variable}" if os.environ.get(variable) == value else "")
