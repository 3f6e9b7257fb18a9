"""The back ends there are, and what is asked of all of them.

Adding one: a package below `backends/` with a module that has a `BACKEND`, and a row in config/launchers.py.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Collection
from typing import cast

from yoloscale.backends.base import Backend
from yoloscale.config.keys import describe
from yoloscale.config.launchers import LOCAL, MODULES
from yoloscale.config.schema import ClusterConfig, RunConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs.jobs import Answer, Ask, Job, NoAnswer, backend_of


def of(cluster: ClusterConfig) -> Backend | None:
    """Who starts the nodes of a run; None for ranks on this machine. Raises ConfigError where nobody is called so."""
    if cluster.launcher == LOCAL:
        return None
    if cluster.launcher not in MODULES:
        instead = f"write {describe('cluster.launcher')}"
        raise ConfigError(Problem("cluster.launcher", repr(cluster.launcher), instead))
    return _load(cluster.launcher)


def required(cluster: ClusterConfig) -> Backend:
    """Who starts the nodes of a run that is not for this machine."""
    backend = of(cluster)
    assert backend is not None, "ranks on this machine are started by the launcher itself"
    return backend


def of_job(job: str) -> Backend:
    """Who has a job, by its id as it is on record."""
    return _load(backend_of(job))


def ask(jobs: Collection[str]) -> Answer:
    """Ask whoever has them for jobs by their ids; those that are forgotten are missing in the answer."""
    answers = dict[str, Job | NoAnswer]()
    for name in sorted({backend_of(job) for job in jobs}):
        own = {job for job in jobs if backend_of(job) == name}  # a back end looks for each line of its answer
        unknown = Answer(silence=NoAnswer(f"this version knows no back end {name}", is_here=False))
        answer = _load(name).ask(own) if name in MODULES else unknown
        answers |= {job: reply for job in own if (reply := answer.of(job)) is not None}
    return Answer(answers)


def cancel(jobs: Collection[str]) -> None:
    """Take jobs out of their queues, or end them. Raises ConfigError."""
    for name in sorted({backend_of(job) for job in jobs}):
        _load(name).cancel([job for job in jobs if backend_of(job) == name])


def remarks(config: RunConfig) -> list[str]:
    """Lines where a command that is typed in a scheduler's job uses less of it than a person may think."""
    return [line for name in MODULES for line in _load(name).remarks(config)]


def current_jobs() -> set[str]:
    """The jobs that this process runs in."""
    return {job for name in MODULES if (job := _load(name).current_job()) is not None}


def around() -> Backend | None:
    """Who started this process in a job; None outside of one."""
    return next((backend for backend in map(_load, MODULES) if backend.current_job() is not None), None)


def job_time_left() -> Callable[[], float | None] | None:
    """What tells the seconds until the job around this process ends; None outside of one."""
    return next((left for name in MODULES if (left := _load(name).job_time_left()) is not None), None)


class RateLimited:
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
    if name not in MODULES:
        raise ConfigError(Problem("job", f"one of {name}", "take the version of yoloscale that started it"))
    return cast(Backend, importlib.import_module(MODULES[name]).BACKEND)
