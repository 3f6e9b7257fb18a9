"""What can be wrong with a SLURM job before sbatch is asked."""

from __future__ import annotations

from yoloscale.config.errors import Problem
from yoloscale.config.schema import ClusterConfig


def slurm_problems(cluster: ClusterConfig) -> list[Problem]:
    """Problems of a resolved cluster section with launcher=slurm."""
    return []
