"""The seam between a run and who starts its nodes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from yoloscale.config.schema import ClusterConfig
from yoloscale.errors import Problem
from yoloscale.runs.jobs import Answer


class Backend(Protocol):
    """Who starts the nodes of a run."""

    name: str

    def check(self, cluster: ClusterConfig) -> list[Problem]:
        """Problems of a resolved cluster section that this back end is to start. Pure."""

    def ask(self, jobs: Collection[str]) -> Answer:
        """What is known of jobs, by their ids. One call for any number; no answer is an answer."""

    def job_time_left(self) -> Callable[[], float | None] | None:
        """What tells the seconds until its job around this process ends; None outside of a node of one."""
