"""The schema of a config: what may be written, its types and defaults. Data alone."""

from __future__ import annotations

from yoloscale.config.schema.arguments import TrainArguments
from yoloscale.config.schema.job import ContainerRuntime, JobConfig
from yoloscale.config.schema.slurm import SlurmConfig
from yoloscale.config.schema.sweep import Pruner, Sampler, SearchConfig, SweepConfig, TrialConfig
from yoloscale.config.schema.train import (
    CheckpointConfig,
    ClusterConfig,
    Config,
    DataCheck,
    DataConfig,
    DebugConfig,
    Device,
    Interval,
    LoggerConfig,
    MlflowConfig,
    ModelConfig,
    OriginConfig,
    PathsConfig,
    ShapesConfig,
    WandbArtifacts,
    WandbConfig,
    WandbMode,
)
from yoloscale.config.tasks import LabelKind, Task

__all__ = [
    "CheckpointConfig",
    "ClusterConfig",
    "Config",
    "ContainerRuntime",
    "DataCheck",
    "DataConfig",
    "DebugConfig",
    "Device",
    "Interval",
    "JobConfig",
    "LabelKind",
    "LoggerConfig",
    "MlflowConfig",
    "ModelConfig",
    "OriginConfig",
    "PathsConfig",
    "Pruner",
    "Sampler",
    "SearchConfig",
    "ShapesConfig",
    "SlurmConfig",
    "SweepConfig",
    "Task",
    "TrainArguments",
    "TrialConfig",
    "WandbArtifacts",
    "WandbConfig",
    "WandbMode",
]
