"""The schema of a config: what may be written, its types and defaults. Data alone; `config` makes use of it."""

from __future__ import annotations

from yoloscale.config.schema.arguments import TrainArguments as TrainArguments
from yoloscale.config.schema.job import ContainerRuntime as ContainerRuntime
from yoloscale.config.schema.job import JobConfig as JobConfig
from yoloscale.config.schema.slurm import SlurmConfig as SlurmConfig
from yoloscale.config.schema.sweep import Pruner as Pruner
from yoloscale.config.schema.sweep import Sampler as Sampler
from yoloscale.config.schema.sweep import SearchConfig as SearchConfig
from yoloscale.config.schema.sweep import SweepConfig as SweepConfig
from yoloscale.config.schema.sweep import TrialConfig as TrialConfig
from yoloscale.config.schema.train import CheckpointConfig as CheckpointConfig
from yoloscale.config.schema.train import ClusterConfig as ClusterConfig
from yoloscale.config.schema.train import Config as Config
from yoloscale.config.schema.train import DataCheck as DataCheck
from yoloscale.config.schema.train import DataConfig as DataConfig
from yoloscale.config.schema.train import DebugConfig as DebugConfig
from yoloscale.config.schema.train import Device as Device
from yoloscale.config.schema.train import Interval as Interval
from yoloscale.config.schema.train import LoggerConfig as LoggerConfig
from yoloscale.config.schema.train import MlflowConfig as MlflowConfig
from yoloscale.config.schema.train import ModelConfig as ModelConfig
from yoloscale.config.schema.train import OriginConfig as OriginConfig
from yoloscale.config.schema.train import PathsConfig as PathsConfig
from yoloscale.config.schema.train import ShapesConfig as ShapesConfig
from yoloscale.config.schema.train import WandbArtifacts as WandbArtifacts
from yoloscale.config.schema.train import WandbConfig as WandbConfig
from yoloscale.config.schema.train import WandbMode as WandbMode
from yoloscale.config.tasks import LabelKind as LabelKind
from yoloscale.config.tasks import Task as Task
