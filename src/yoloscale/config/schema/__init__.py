"""The schema of a config: what may be written, its types and defaults. Data alone; `config` makes use of it."""

from __future__ import annotations

from yoloscale.config.schema.arguments import TrainArguments as TrainArguments
from yoloscale.config.schema.inference_arguments import PredictArguments as PredictArguments
from yoloscale.config.schema.inference_arguments import ValArguments as ValArguments
from yoloscale.config.schema.job import ContainerRuntime as ContainerRuntime
from yoloscale.config.schema.job import JobConfig as JobConfig
from yoloscale.config.schema.predict import PredictConfig as PredictConfig
from yoloscale.config.schema.predict import PredictSection as PredictSection
from yoloscale.config.schema.predict import View as View
from yoloscale.config.schema.run import ClusterConfig as ClusterConfig
from yoloscale.config.schema.run import DataCheck as DataCheck
from yoloscale.config.schema.run import DataConfig as DataConfig
from yoloscale.config.schema.run import DebugConfig as DebugConfig
from yoloscale.config.schema.run import Device as Device
from yoloscale.config.schema.run import EvaluationOrigin as EvaluationOrigin
from yoloscale.config.schema.run import InferenceOrigin as InferenceOrigin
from yoloscale.config.schema.run import LoggerConfig as LoggerConfig
from yoloscale.config.schema.run import MlflowConfig as MlflowConfig
from yoloscale.config.schema.run import ModelConfig as ModelConfig
from yoloscale.config.schema.run import OriginConfig as OriginConfig
from yoloscale.config.schema.run import PathsConfig as PathsConfig
from yoloscale.config.schema.run import RunConfig as RunConfig
from yoloscale.config.schema.run import RunOrigin as RunOrigin
from yoloscale.config.schema.run import ShapesConfig as ShapesConfig
from yoloscale.config.schema.run import WandbArtifacts as WandbArtifacts
from yoloscale.config.schema.run import WandbConfig as WandbConfig
from yoloscale.config.schema.run import WandbMode as WandbMode
from yoloscale.config.schema.slurm import SlurmConfig as SlurmConfig
from yoloscale.config.schema.sweep import Pruner as Pruner
from yoloscale.config.schema.sweep import Sampler as Sampler
from yoloscale.config.schema.sweep import SearchConfig as SearchConfig
from yoloscale.config.schema.sweep import SweepConfig as SweepConfig
from yoloscale.config.schema.sweep import TrialConfig as TrialConfig
from yoloscale.config.schema.train import CheckpointConfig as CheckpointConfig
from yoloscale.config.schema.train import Config as Config
from yoloscale.config.schema.train import Interval as Interval
from yoloscale.config.schema.val import ValConfig as ValConfig
from yoloscale.config.tasks import LabelKind as LabelKind
from yoloscale.config.tasks import Task as Task
