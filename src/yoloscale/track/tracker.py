"""The interface of a tracker, and the ones that a config asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from yoloscale.config.schema import LoggerConfig


class Tracker(Protocol):
    """One destination of metrics. Lives on rank 0; its failures are warnings, never the run's."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers after `step` optimiser steps; steps never go back."""
        ...

    def close(self, exit_code: int) -> None:
        """The run has ended on this start: 0 finished, 75 to be continued, else failed."""
        ...


def make_trackers(
    config: LoggerConfig, folder: Path, name: str, settings: Mapping[str, Any], wandb_id: str
) -> list[Tracker]:
    """Trackers for a run.

    Args:
        folder: the run directory.
        settings: the whole frozen config, for trackers that show it.
        wandb_id: the same on every start of the run, so that W&B goes on with it.
    """
    trackers: list[Tracker] = []
    if config.tensorboard:
        from yoloscale.track.tensorboard import TensorBoardTracker

        trackers.append(TensorBoardTracker(folder))
    if config.wandb is not None:
        from yoloscale.track.wandb_run import WandbTracker

        trackers.append(WandbTracker(config.wandb, folder, name, settings, wandb_id))
    return trackers
