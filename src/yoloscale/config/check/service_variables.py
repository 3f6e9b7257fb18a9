"""What W&B and MLflow take from the environment, for the keys of the logger group that nobody typed.

It is frozen with the run, so that a job on another node, or a later start, has it without the variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from yoloscale.config.check.wandb_access import has_key, kept_settings, mode_of, server_of
from yoloscale.config.schema import LoggerConfig, MlflowConfig, RunConfig, WandbConfig, WandbMode
from yoloscale.system.secrets import has_login

EXPERIMENT = "yoloscale"  # MLflow's, where nobody names one
# key below logger.wandb, wandb's variable, the name in its settings files, what holds where none of them is there
WANDB_VARIABLES: tuple[tuple[str, str, str, Any], ...] = (
    ("project", "WANDB_PROJECT", "project", "yoloscale"),
    ("entity", "WANDB_ENTITY", "entity", None),
    ("group", "WANDB_RUN_GROUP", "run_group", None),
    ("job_type", "WANDB_JOB_TYPE", "run_job_type", "train"),
    ("tags", "WANDB_TAGS", "run_tags", []),
    ("notes", "WANDB_NOTES", "run_notes", None),
    ("name", "WANDB_NAME", "run_name", None),
)
MLFLOW_VARIABLES: tuple[tuple[str, str, Any], ...] = (
    ("tracking_uri", "MLFLOW_TRACKING_URI", None),
    ("experiment", "MLFLOW_EXPERIMENT_NAME", EXPERIMENT),
    ("name", "MLFLOW_RUN", None),  # Ultralytics' own variable
)
_WANDB_UNREAD = {
    "WANDB_DIR": "W&B's files lie in the run's folder",
    "WANDB_RESUME": "every start of a run goes on with its own W&B run",
    "WANDB_CONSOLE": "what ranks print is in `yoloscale logs RUN`",
}
_MLFLOW_UNREAD = {
    "MLFLOW_EXPERIMENT_ID": "write logger.mlflow.experiment=NAME, or set MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_RUN_ID": "a run has an MLflow run of its own, at every start the same",
    "MLFLOW_KEEP_RUN_ACTIVE": "the MLflow run ends with the run",
}
_WANDB_SECRETS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
_MLFLOW_SECRETS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


_Run = TypeVar("_Run", bound=RunConfig)


def with_variables(
    config: _Run,
    frozen: RunConfig | None = None,
    *,
    in_sweep: bool = False,
    environ: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> _Run:
    """A composed config with what it leaves open about its loggers: as its run was frozen, else from the environment.

    A name for one run, WANDB_NAME or MLFLOW_RUN, is none for the points of a sweep, nor beside `name=`.
    """
    logger, before = config.logger, LoggerConfig() if frozen is None else frozen.logger
    wandb, mlflow = logger.wandb, logger.mlflow
    hidden = _names_of_one(config, in_sweep=in_sweep, environ=environ)
    seen = {name: value for name, value in environ.items() if name not in hidden}
    if wandb is not None:
        wandb = _wandb(wandb, seen, home) if before.wandb is None else _as_before(wandb, before.wandb)
    if mlflow is not None:
        mlflow = _mlflow(mlflow, seen) if before.mlflow is None else _as_before(mlflow, before.mlflow)
    return replace(config, logger=replace(logger, wandb=wandb, mlflow=mlflow))


def unread(
    config: RunConfig, *, in_sweep: bool = False, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> list[str]:
    """A line for each variable of a logger that is on which does nothing, or does not reach the job."""
    lines = []
    for logger, variables in ((config.logger.wandb, _WANDB_UNREAD), (config.logger.mlflow, _MLFLOW_UNREAD)):
        if logger is not None:
            lines += [f"{name} does nothing here: {why}" for name, why in variables.items() if environ.get(name)]
    for name in _names_of_one(config, in_sweep=in_sweep, environ=environ):
        why = "every point has the name of its folder" if in_sweep else f"name={config.name} was typed"
        lines.append(f"{name} does nothing here: {why}")
    if in_sweep and config.logger.wandb is not None and environ.get("WANDB_RUN_ID"):
        lines.append("WANDB_RUN_ID does nothing here: every point has an id of its own")
    return [*lines, *_left_behind(config, environ, home)]


def _wandb(config: WandbConfig, environ: Mapping[str, str], home: Path | None) -> WandbConfig:
    kept, values = kept_settings(environ, home), dict[str, Any]()
    for key, variable, setting, default in WANDB_VARIABLES:
        if getattr(config, key) is None:
            values[key] = environ.get(variable) or kept.get(setting) or default
    if isinstance(words := values.get("tags"), str):
        values["tags"] = [word for part in words.split(",") if (word := part.strip())]
    if config.mode is None:
        values["mode"] = mode_of(WandbMode.online, environ, home)
    if config.base_url is None and (environ.get("WANDB_BASE_URL") or kept.get("base_url")):
        server = server_of(environ, home)
        values["base_url"] = None if has_login(server) else server
    return replace(config, **values)


def _mlflow(config: MlflowConfig, environ: Mapping[str, str]) -> MlflowConfig:
    values = dict[str, Any]()
    for key, variable, default in MLFLOW_VARIABLES:
        if getattr(config, key) is None:
            value = environ.get(variable) or default
            values[key] = None if value and has_login(value) else value  # a login stays in the environment
    return replace(config, **values)


def _as_before(config: Any, before: Any) -> Any:
    """What is left open is as it was frozen, open values too: variables of today are not those of the first start."""
    return replace(config, **{key: getattr(before, key) for key, value in vars(config).items() if value is None})


def _names_of_one(config: RunConfig, *, in_sweep: bool, environ: Mapping[str, str]) -> list[str]:
    """Variables that name one run, where they name none: in a sweep, and beside `name=`."""
    if not in_sweep and config.name is None:
        return []
    wandb, mlflow = config.logger.wandb, config.logger.mlflow
    names = ["WANDB_NAME"] if wandb is not None and wandb.name is None else []
    names += ["MLFLOW_RUN"] if mlflow is not None and mlflow.name is None else []
    return [name for name in names if environ.get(name) and environ[name] != config.name]


def _left_behind(config: RunConfig, environ: Mapping[str, str], home: Path | None) -> list[str]:
    """Keys and logins in variables that a job does not get, since cluster.export does not name them."""
    export = config.cluster.export
    if config.cluster.is_here or export is None:
        return []
    names = list[str]()
    if config.logger.wandb is not None and mode_of(config.logger.wandb.mode, environ, home) is WandbMode.online:
        without = {name: value for name, value in environ.items() if name not in _WANDB_SECRETS}
        names += [] if has_key(without, home) else _WANDB_SECRETS
    if config.logger.mlflow is not None:
        names += _MLFLOW_SECRETS
        uri = environ.get("MLFLOW_TRACKING_URI", "")
        names += ["MLFLOW_TRACKING_URI"] if has_login(uri) else []
    left = [name for name in names if environ.get(name) and name not in export]
    return [f"{name} does not reach the job: write cluster.export=[{','.join([*export, *left])}]" for name in left]
