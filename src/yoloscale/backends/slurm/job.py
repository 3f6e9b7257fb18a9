"""When SLURM warns a job before its end."""

from __future__ import annotations

import math

from yoloscale.config.schema import ClusterConfig
from yoloscale.system.durations import limit_s, stop_after_s

_LONGEST_WARNING_S = 65535  # sbatch counts them in 16 bits


def warning_s(cluster: ClusterConfig) -> int:
    """How long before its end SLURM is to warn the job."""
    warning = cluster.stop_before_s
    if cluster.time is not None:
        limit = limit_s(cluster.time)
        warning = limit - stop_after_s(limit, cluster.stop_before_s)
    return min(math.ceil(warning), _LONGEST_WARNING_S)
