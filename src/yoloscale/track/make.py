"""The trackers that a config asks for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from yoloscale.config.schema import LoggerConfig
from yoloscale.track.background import Make
from yoloscale.track.tracker import RunFacts, Tracker


def makers(config: LoggerConfig, facts: RunFacts) -> dict[str, Make]:
    """How each tracker of a run is made, by its name. Packages are imported here, in the caller's thread.

    A package that is not on this node, or broken there, raises when its tracker is made: that is no reason to fail.
    """
    found: dict[str, Make] = {}
    if config.wandb is not None:
        found["W&B"] = _imported(lambda: _wandb(config, facts), "wandb")
    if facts.node:
        return found
    if config.tensorboard:
        found["TensorBoard"] = _imported(lambda: _tensorboard(facts), "yoloscale[tensorboard]")
    if config.mlflow is not None:
        found["MLflow"] = _imported(lambda: _mlflow(config, facts), "yoloscale[mlflow]")
    return found


def _wandb(config: LoggerConfig, facts: RunFacts) -> Make:
    from yoloscale.track.wandb_run import WandbNode, WandbTracker

    assert config.wandb is not None, "asked for"
    return partial(WandbTracker if facts.node == 0 else WandbNode, config.wandb, facts)


def _tensorboard(facts: RunFacts) -> Make:
    from yoloscale.track.tensorboard import TensorBoardTracker

    return partial(TensorBoardTracker, facts.folder)


def _mlflow(config: LoggerConfig, facts: RunFacts) -> Make:
    from yoloscale.track.mlflow_run import MlflowTracker

    assert config.mlflow is not None, "asked for"
    return partial(MlflowTracker, config.mlflow, facts)


def _imported(get: Callable[[], Make], package: str) -> Make:
    try:
        return get()
    except Exception as error:  # not ImportError alone: packages that do not fit together raise all kinds
        reason = f"{type(error).__name__}: {error} (pip install '{package}')"
        return partial(_refuse, reason)


def _refuse(reason: str) -> Tracker:
    raise RuntimeError(reason)
