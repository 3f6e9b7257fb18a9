"""What runs of every kind have: a model, a place to run, loggers, folders. Each kind adds keys of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from yoloscale.config.launchers import LOCAL
from yoloscale.config.schema.slurm import SlurmConfig
from yoloscale.config.tasks import Task


class Device(str, Enum):
    """Where a rank computes. `auto` is resolved when the run is frozen: cuda where a GPU is visible, else cpu."""

    auto = "auto"
    cuda = "cuda"
    cpu = "cpu"


class DataCheck(str, Enum):
    """When the dataset is looked at: before anything is made, or by the launcher of each node of a job."""

    now = "now"
    later = "later"


class WandbMode(str, Enum):
    """Modes of `wandb.init`."""

    online = "online"
    offline = "offline"
    disabled = "disabled"


class WandbArtifacts(str, Enum):
    """Which weights become artifacts: best.pt and last.pt of a finished run, or none of them."""

    final = "final"
    never = "never"


@dataclass
class ModelConfig:
    """Which network, and what it starts from.

    `weights` is a released file name (`yolo26n.pt`) or a path to a `.pt`; None starts from scratch, as
    `pretrained=false` does. `architecture` is the Ultralytics model YAML built in that case.
    """

    name: str = "yolo26n"
    task: Task | None = None  # None: read from the `.pt` file
    weights: str | None = None
    architecture: str | None = None
    allow_pickle: bool = False  # load a `.pt` that needs code from outside Ultralytics and torch


@dataclass
class ShapesConfig:
    """The rendered dataset `data=shapes`: how many images, of what size, from which seed."""

    train_images: int = 512
    val_images: int = 128
    image_size: int = 320  # pixels, height and width
    seed: int = 0


@dataclass
class DataConfig:
    """Which images and labels.

    `source` is `shapes`, `trees`, an Ultralytics dataset YAML (`coco8.yaml`), a path to one, or, for classification,
    a folder or an Ultralytics dataset name (`imagenet10`).
    """

    name: str = "shapes"
    source: str = "shapes"
    shapes: ShapesConfig | None = None  # only with source=shapes
    check: DataCheck | None = None  # None: later, if the path has variables of a job; else now


@dataclass
class ClusterConfig(SlurmConfig):
    """Where the ranks run. Written once; world size, batch split, threads and torchrun flags derive from it."""

    launcher: str = LOCAL  # who starts the nodes: one of config/launchers.py
    nodes: int = 1
    procs_per_node: int | None = None  # None: GPUs visible, else 2; resolved when the run is frozen
    device: Device = Device.auto
    gpus: list[int] | None = None  # GPU indices on each node, `device=0,1`; None: the first procs_per_node
    backend: str | None = None  # None: nccl on cuda, gloo on cpu
    threads: int | None = None  # CPU threads of a rank; None: the CPUs this process may use / procs_per_node
    timeout_s: float = 600.0  # a rank that does not move on for so long is named, and the run restarted
    exact_reduce: bool = False  # sum gradients in fp64: the same bits on any number of ranks, twice the traffic
    sync_bn: bool = False  # batch-norm statistics over all ranks (CUDA)
    rdzv_endpoint: str | None = None  # HOST:PORT of the first node; only with nodes > 1
    planned_ranks: int | None = None  # ranks the batch was split for at the first start; never typed by people
    min_nodes: int | None = None  # go on with as few as these when nodes are lost; None: all of them
    max_restarts: int = 3  # after failures without a new checkpoint in between; 0: the first failure ends the run
    time: str | None = None  # wall-clock limit of one start as sbatch writes it, like 90 (minutes) or 1-12:00:00
    stop_before_s: float = 120.0  # how long before the limit all ranks save and stop; at most half of the limit

    @property
    def is_here(self) -> bool:
        """Whether the ranks run where the command is typed; else somebody else starts the nodes."""
        return self.launcher == LOCAL


@dataclass
class WandbConfig:
    """Weights & Biases. The API key stays in the environment (WANDB_API_KEY) or in ~/.netrc.

    What is None takes wandb's variable, then what wandb has kept in its settings, when the run is frozen.
    """

    mode: WandbMode | None = None  # None: online; WANDB_MODE may restrain it further
    project: str | None = None  # WANDB_PROJECT; then yoloscale
    entity: str | None = None  # WANDB_ENTITY; then the account's own
    group: str | None = None  # WANDB_RUN_GROUP; then the sweep that the run is a point of
    job_type: str | None = None  # WANDB_JOB_TYPE; then train
    tags: list[str] | None = None  # WANDB_TAGS
    notes: str | None = None  # WANDB_NOTES
    name: str | None = None  # WANDB_NAME, for one run without name=; then the run's
    base_url: str | None = None  # WANDB_BASE_URL, `wandb login --host`; then the installed wandb's own server
    artifacts: WandbArtifacts = WandbArtifacts.final


@dataclass
class MlflowConfig:
    """MLflow. User and password stay in the environment (MLFLOW_TRACKING_USERNAME, …_PASSWORD, …_TOKEN)."""

    tracking_uri: str | None = None  # a server, sqlite:///FILE or file:FOLDER; None: $MLFLOW_TRACKING_URI
    experiment: str | None = None  # None: $MLFLOW_EXPERIMENT_NAME, then yoloscale
    name: str | None = None  # None: $MLFLOW_RUN, for one run without name=; then the run's
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class LoggerConfig:
    """Who is told besides metrics.jsonl and results.csv, which are always written."""

    tensorboard: bool = False
    wandb: WandbConfig | None = None
    mlflow: MlflowConfig | None = None


@dataclass
class DebugConfig:
    """Switches for looking closely."""

    trace: bool = False  # trace.jsonl: loss, gradient norm, sample and parameter digests of every optimiser step


@dataclass
class PathsConfig:
    """Folders, relative to the working folder unless absolute."""

    code: str | None = None  # with callbacks: where their modules lie; None: the working folder
    runs: str = "runs"  # one run directory per run; not part of the frozen config
    cache: str | None = None  # rendered and fetched data, weights; None: $YOLOSCALE_CACHE, else ~/.cache/yoloscale


@dataclass
class RunOrigin:
    """What a run was first started with, as far as it goes on otherwise or it must be known later. Never typed."""

    folder: str | None = None  # the working folder: relative paths in a dataset's YAML and its lists refer to it


@dataclass
class OriginConfig(RunOrigin):
    """The origin of a training run."""

    dataset: str | None = None  # training images and fingerprint (datasets/identity.py); None: it was not looked at
    opened: str | None = (
        None  # what `data` was unpacked, fetched, split or rendered into, below the cache; a folder's YAML
    )
    batch: int | None = None  # the global batch that the optimiser steps were planned with; None: `batch`
    epochs: int | None = None  # that `optimizer=auto` was decided by; None: `epochs`
    epochs_done: int | None = None  # when `epochs` or `time` was changed: a run that had ended there goes on


@dataclass
class InferenceOrigin(RunOrigin):
    """The origin of a run that makes use of finished weights."""

    weights: str | None = None  # SHA-256 of the file, or of the files in a folder
    versions: dict[str, str] | None = None  # of the packages that decide the results, by name
    images: int | None = None  # rows of the manifest; of an evaluation: images of the split


@dataclass
class EvaluationOrigin(InferenceOrigin):
    """The origin of an evaluation."""

    dataset: str | None = None  # as of a training run
    opened: str | None = None


@dataclass(init=False, repr=False, eq=False)  # inherited only: generating these takes time at each start
class RunConfig:
    """A run of any kind."""

    kind = ""  # the row of config/kinds.py; without a type, so that it is no key
    name: str | None = None
    id: str | None = None  # of this run and no other, made when it is frozen first; never typed by people
    model: ModelConfig = field(default_factory=ModelConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    debug: DebugConfig = field(default_factory=DebugConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    origin: RunOrigin = field(default_factory=RunOrigin)
