"""What a job does around the ranks, whoever starts its nodes: keys of the `cluster` group."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class ContainerRuntime(str, Enum):
    """What runs a container image under srun."""

    pyxis = "pyxis"
    apptainer = "apptainer"
    singularity = "singularity"  # apptainer under its older name, and SingularityCE


@dataclass
class JobConfig:
    """A job on other machines than this one; no key of these does anything for ranks on this machine."""

    export: list[str] | None = None  # names of environment variables that travel to the job beside a login's; None: all
    env: dict[str, str] = field(default_factory=dict)  # set in the job, for all to read: no secrets
    setup: list[str] = field(default_factory=list)  # lines of shell before the ranks start: module load, conda activate
    python: str | None = None  # interpreter on the nodes; None: this one
    container_runtime: ContainerRuntime = ContainerRuntime.pyxis
    container_image: str | None = None
    container_mounts: list[str] = field(default_factory=list)  # HOST:CONTAINER beside the run's folder and the cache
    container_python: str = "python3"  # inside the image, with yoloscale installed
    max_requeues: int = 10  # in a row that brought no newer checkpoint; 0: the job is not requeued
    array_parallelism: int | None = None  # points of a sweep that run at the same time; None: all
    array_size: int | None = None  # elements of an array for one prediction, each with ranks of its own; None: one job
