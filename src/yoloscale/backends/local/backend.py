"""This machine, and others where the same command is typed on each."""

from __future__ import annotations

from collections.abc import Callable, Collection

from yoloscale.backends.base import Backend
from yoloscale.backends.slurm.check import slurm_only
from yoloscale.config.schema import ClusterConfig
from yoloscale.errors import Problem
from yoloscale.runs.jobs import Answer


class LocalBackend:
    """Ranks on this machine, started by the launcher itself."""

    name = "local"

    def check(self, cluster: ClusterConfig) -> list[Problem]:
        """Settings that only a scheduler would look at."""
        return slurm_only(cluster)

    def ask(self, jobs: Collection[str]) -> Answer:
        """There are no jobs."""
        return Answer()

    def job_time_left(self) -> Callable[[], float | None] | None:
        """This machine has no jobs."""
        return None


BACKEND: Backend = LocalBackend()
