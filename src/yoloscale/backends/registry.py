"""The back ends there are, and what is asked of all of them.

Adding one: a package below `backends/` with a module `backend`, and a row here.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Collection
from typing import cast

from yoloscale.backends.base import Backend
from yoloscale.config.schema import ClusterConfig
from yoloscale.runs.jobs import Answer, Ask

_MODULES = {"local": "yoloscale.backends.local.backend", "slurm": "yoloscale.backends.slurm.backend"}


def of(cluster: ClusterConfig) -> Backend:
    """Who starts the nodes of a run."""
    return _load(cluster.launcher.value)


def ask(jobs: Collection[str]) -> Answer:
    """Ask whoever has them for jobs by their ids; those that are forgotten are missing in the answer."""
    return _load("slurm").ask(jobs)


def job_time_left() -> Callable[[], float | None] | None:
    """What tells the seconds until the job around this process ends; None outside of one."""
    return next((left for name in _MODULES if (left := _load(name).job_time_left()) is not None), None)


class Seldom:
    """`ask` for who looks often: asks again about the same jobs after `every_s` only."""

    def __init__(self, every_s: float, asked: Ask = ask) -> None:
        self._every_s, self._ask = every_s, asked
        self._jobs, self._answer, self._at = frozenset[str](), Answer(), -float("inf")

    def __call__(self, jobs: Collection[str]) -> Answer:
        if frozenset(jobs) != self._jobs or time.monotonic() - self._at >= self._every_s:
            self._jobs, self._answer = frozenset(jobs), self._ask(jobs)
            self._at = time.monotonic()
        return self._answer


def _load(name: str) -> Backend:
    """A back end, loaded at its first use: the command line starts without most of them."""
    return cast(Backend, importlib.import_module(_MODULES[name]).BACKEND)
