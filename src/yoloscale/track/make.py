"""The trackers that a config asks for."""

from __future__ import annotations

from functools import partial

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.schema import LoggerConfig
from yoloscale.track.background import Make
from yoloscale.track.tracker import RunFacts


def makers(config: LoggerConfig, facts: RunFacts) -> dict[str, Make]:
    """How each tracker of a run is made, by its name; their packages are imported here. Raises ConfigError."""
    found: dict[str, Make] = {}
    if config.wandb is not None:
        from yoloscale.track.wandb_run import WandbNode, WandbTracker

        found["W&B"] = partial(WandbTracker if facts.node == 0 else WandbNode, config.wandb, facts)
    if facts.node:
        return found
    if config.tensorboard:
        try:
            from yoloscale.track.tensorboard import TensorBoardTracker
        except ImportError as error:
            raise _missing("tensorboard", error) from error
        found["TensorBoard"] = partial(TensorBoardTracker, facts.folder)
    if config.mlflow is not None:
        try:
            from yoloscale.track.mlflow_run import MlflowTracker
        except ImportError as error:
            raise _missing("mlflow", error) from error
        found["MLflow"] = partial(MlflowTracker, config.mlflow, facts)
    return found


def _missing(extra: str, error: ImportError) -> ConfigError:
    return ConfigError(Problem(f"logger.{extra}", f"{error}", f"pip install 'yoloscale[{extra}]'"))
