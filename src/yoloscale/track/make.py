"""The trackers that a config asks for."""

from __future__ import annotations

from functools import partial
from importlib import import_module

from yoloscale.config.schema import LoggerConfig
from yoloscale.track.background import Make
from yoloscale.track.tracker import RunFacts, Tracker


def makers(config: LoggerConfig, facts: RunFacts) -> dict[str, Make]:
    """How each tracker of a run is made, by its name. Packages are imported here, in the caller's thread.

    A package that is not on this node, or broken there, raises when its tracker is made: that is no reason to fail.
    """
    by_name: dict[str, Make] = {}
    if config.wandb is not None:
        kind = "WandbNode" if facts.node else "WandbTracker"
        by_name["W&B"] = _maker("wandb_run", kind, config.wandb, facts, package="wandb")
    if facts.node:
        return by_name
    if config.tensorboard:
        by_name["TensorBoard"] = _maker(
            "tensorboard", "TensorBoardTracker", facts.folder, package="yoloscale[tensorboard]"
        )
    if config.mlflow is not None:
        by_name["MLflow"] = _maker("mlflow_run", "MlflowTracker", config.mlflow, facts, package="yoloscale[mlflow]")
    return by_name


def _maker(module: str, kind: str, *arguments: object, package: str) -> Make:
    try:
        return partial(getattr(import_module(f"yoloscale.track.{module}"), kind), *arguments)
    except Exception as error:  # not ImportError alone: packages that do not fit together raise all kinds
        return partial(_refuse, f"{type(error).__name__}: {error} (pip install '{package}')")


def _refuse(reason: str) -> Tracker:
    raise RuntimeError(reason)
