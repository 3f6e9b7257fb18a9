"""The schema of a training run: every key that a person, a YAML file or a frozen config may hold, and its default.

Hydra composes into `Config` (launcher), `freeze` writes it to RUN/config.yaml, `load` reads it back (worker). The
Ultralytics train arguments are inherited from `TrainArguments`, at the root, under their own bare names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from yoloscale.config.schema.arguments import TrainArguments
from yoloscale.config.schema.run import (
    ClusterConfig,
    DataConfig,
    DebugConfig,
    LoggerConfig,
    ModelConfig,
    OriginConfig,
    PathsConfig,
    RunConfig,
)
from yoloscale.config.schema.sweep import SweepConfig, TrialConfig


class Interval(str, Enum):
    """When to save within an epoch: as often as it costs least time (Young and Daly), or never."""

    auto = "auto"
    epoch = "epoch"


@dataclass
class CheckpointConfig:
    """When the whole state is saved within an epoch, and what stays on disk. It is saved after each epoch anyway."""

    every_steps: int | None = None  # each so many optimiser steps
    every_minutes: float | None = None  # each so many minutes
    interval: Interval = Interval.auto  # what holds where neither is given
    mtbf_hours: float = 4.0  # expected time between interruptions; auto adds what this run has seen
    keep: int = 2  # newest N; never fewer than 2
    keep_every_steps: int | None = None  # and the first one of every so many optimiser steps
    keep_best: bool = True  # and the one of the best epoch so far


@dataclass(init=False, repr=False, eq=False)  # inherited only: generating these takes time at each start
class _KeysInOrder(TrainArguments):
    """The keys of a training run in the order in which they are shown and frozen, which inheritance would change."""

    name: str | None = None
    augmentations: Any = None  # Albumentations: a YAML file, which is frozen as the list that it holds
    callbacks: list[str] = field(default_factory=list)  # module:function, or event=module:function
    id: str | None = None  # of this run and no other, made when it is frozen first; never typed by people
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    debug: DebugConfig = field(default_factory=DebugConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)  # not part of the frozen config
    trial: TrialConfig | None = None  # only in runs of a search
    origin: OriginConfig = field(default_factory=OriginConfig)


@dataclass
class Config(RunConfig, _KeysInOrder):
    """One training run."""

    kind = "train"
    origin: OriginConfig = field(default_factory=OriginConfig)
