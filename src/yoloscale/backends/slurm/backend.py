"""SLURM: one job for each run, or an array of them for a sweep."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from yoloscale.backends.base import Backend
from yoloscale.config.schema import ClusterConfig
from yoloscale.errors import Problem
from yoloscale.runs.jobs import Answer


class SlurmBackend:
    """Jobs of a SLURM cluster."""

    name = "slurm"

    def check(self, cluster: ClusterConfig) -> list[Problem]:
        """What sbatch would refuse, and what would make another job than one thinks."""
        from yoloscale.backends.slurm.check import slurm_problems

        return slurm_problems(cluster)

    def ask(self, jobs: Collection[str]) -> Answer:
        """One call of squeue, and one of sacct for those that it has forgotten."""
        from yoloscale.backends.slurm import queue

        return queue.ask(jobs)

    def job_time_left(self) -> Callable[[], float | None] | None:
        """On a node of a job; a login node's terminal may have the variables of one, too."""
        from yoloscale.backends.slurm import own_job

        return own_job.left_s if "SLURMD_NODENAME" in os.environ else None


BACKEND: Backend = SlurmBackend()
