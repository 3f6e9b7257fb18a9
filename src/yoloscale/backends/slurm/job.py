"""What is to be submitted: plain data, from which the script is rendered."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

from yoloscale.config.locations import cache_folder
from yoloscale.config.schema import ClusterConfig, Config
from yoloscale.system.durations import limit_s, stop_after_s

_LONGEST_WARNING_S = 65535  # sbatch counts them in 16 bits


@dataclass(frozen=True)
class SlurmJob:
    """One job, or one array of them.

    Args:
        folder: of the run or the sweep; absolute.
        cache: where images and weights lie; absolute.
        working_folder: where the person typed, and where the script runs.
        typed: words after `yoloscale` that make the folder if it is not there: a script printed by --dry-run.
        array: indices of the points of a sweep, as sbatch writes them (`0-7`); None for a run.
        first: the point that element 0 of the array trains; above 0 where the site's arrays are too small for all.
        asks: whether an element asks the study of a search for its point before its ranks start.
    """

    cluster: ClusterConfig
    name: str
    folder: Path
    cache: Path
    working_folder: Path
    typed: tuple[str, ...]
    array: str | None = None
    first: int = 0
    asks: bool = False
    launcher_python: str = sys.executable

    @property
    def python(self) -> str:
        """The interpreter on the nodes, outside of a container."""
        return self.cluster.python or self.launcher_python

    @property
    def marker(self) -> Path:
        """What is there once the folder is made."""
        return self.folder / ("config.yaml" if self.array is None else "sweep.yaml")

    @property
    def output(self) -> str:
        """What SLURM writes the words of script and srun to, in the folder that sbatch is started in."""
        return "slurm-%j.out" if self.array is None else "slurm-%A_%a.out"


def warning_s(cluster: ClusterConfig) -> int:
    """How long before its end SLURM is to warn the job."""
    warning = cluster.stop_before_s
    if cluster.time is not None:
        limit = limit_s(cluster.time)
        warning = limit - stop_after_s(limit, cluster.stop_before_s)
    return min(math.ceil(warning), _LONGEST_WARNING_S)


def job_for(config: Config, folder: Path, typed: tuple[str, ...]) -> SlurmJob:
    """The job of one run."""
    return SlurmJob(config.cluster, folder.name, folder.absolute(), cache_folder(config.paths), Path.cwd(), typed)
