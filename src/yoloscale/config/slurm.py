"""What a SLURM job is asked for with: keys of the `cluster` group by sbatch's own names."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class ContainerRuntime(str, Enum):
    """What runs a container image under srun."""

    pyxis = "pyxis"
    apptainer = "apptainer"


@dataclass
class SlurmConfig:
    """Options of sbatch, as it names them, and what the job does around the ranks. Only with launcher=slurm.

    There is one task on each node, torchrun's agent with the node's ranks: `cpus_per_task`, `mem` and `gpus_per_node`
    are those of a node.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    reservation: str | None = None
    dependency: str | None = None
    gpus_per_node: str | None = None  # a count, or TYPE:COUNT
    cpus_per_task: int | None = None
    mem: str | None = None
    exclusive: str | None = None  # true, user or mcs
    comment: str | None = None
    mail_type: str | None = None
    mail_user: str | None = None
    sbatch: dict[str, Any] = field(default_factory=dict)  # any other option by its long name; true: without a value
    export: list[str] | None = None  # names of environment variables that travel to the job; None: all
    env: dict[str, str] = field(default_factory=dict)  # set in the job, for all to read: no secrets
    setup: list[str] = field(default_factory=list)  # lines of shell before the ranks start: module load, conda activate
    python: str | None = None  # interpreter on the nodes; None: this one
    container_runtime: ContainerRuntime = ContainerRuntime.pyxis
    container_image: str | None = None
    container_mounts: list[str] = field(default_factory=list)  # HOST:CONTAINER beside the run's folder and the cache
    container_python: str = "python3"  # inside the image, with yoloscale installed
    max_requeues: int = 10  # in a row that brought no newer checkpoint; 0: the job is not requeued
    array_parallelism: int | None = None  # points of a sweep that run at the same time; None: all


def gpus_of(config: SlurmConfig) -> int | None:
    """How many GPUs each node of the job has; None if none are asked for, or what is asked for cannot be read."""
    count = (config.gpus_per_node or "").rpartition(":")[2]
    return int(count) if count.isdigit() else None
