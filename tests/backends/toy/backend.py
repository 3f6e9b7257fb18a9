"""A back end whose nodes are processes on this machine: `toy:PID` is a job. Each point of a sweep is one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from yoloscale.backends.base import Backend, JobRequest, PointJobs, RankProcess
from yoloscale.config.schema import ClusterConfig, Config
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory, owned
from yoloscale.runs.jobs import Answer, Ask, Job
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.system.remarks import Say
from yoloscale.system.waiting import wait_until

POLL_S = 0.05


class ToyBackend:
    """See backends/base.py."""

    name = "toy"

    def check(self, cluster: ClusterConfig) -> list[Problem]:
        return [] if cluster.nodes == 1 else [Problem("cluster.nodes", f"{cluster.nodes}", "a toy has one node")]

    def check_site(self, config: Config, say: Say, *, points: int = 1) -> list[Problem]:
        return []

    def complete(self, config: Config) -> Config:
        return config

    def remarks(self, config: Config) -> list[str]:
        return []

    def inside(self) -> None:
        return None

    def current_job(self) -> str | None:
        return os.environ.get("TOY_JOB")

    def current_point(self) -> int | None:
        return int(os.environ["TOY_POINT"]) if "TOY_POINT" in os.environ else None

    def job_time_left(self) -> Callable[[], float | None] | None:
        return None

    def render(self, request: JobRequest) -> bytes:
        return f"toy of {request.name}: {' '.join(request.typed)}\n".encode()

    def render_points(self, request: JobRequest, indices: Sequence[int]) -> list[JobRequest]:
        return [request]

    def submit(self, request: JobRequest, *arguments: str) -> str:
        if "refused" in request.name:
            raise ConfigError(Problem("name", request.name, "toys do not like it"))
        (request.folder / "job" / "toy.txt").write_bytes(self.render(request))
        return _start(request.folder, arguments[0])

    def submit_points(self, request: JobRequest, indices: Sequence[int]) -> Iterator[PointJobs]:
        sweep = SweepDirectory(request.folder)
        for index in indices:
            if request.asks:
                job = _start(sweep.path, f"--point={index}")
            else:
                run = sweep.run_of(index)
                job = _start(run.path, owned(run).run_id)
            yield PointJobs(job, {index: job})

    def ask(self, jobs: Collection[str]) -> Answer:
        return Answer({job: Job(job, "RUNNING", nodes="toyland") for job in jobs if _lives(job)})

    def cancel(self, jobs: Collection[str]) -> None:
        for job in jobs:
            if _lives(job):
                os.kill(_pid(job), signal.SIGTERM)

    def cancel_run(self, run: RunDirectory, asked: Ask, *, at_once: bool, timeout_s: float) -> bool:
        job = next(event.job for event in reversed(events.history(run)) if isinstance(event, events.Submitted))
        events.append(run, events.Cancelled())
        self.cancel([job])
        return wait_until(lambda: not _lives(job), timeout_s, POLL_S)

    def signal(self, job: str, ranks: Sequence[RankProcess], number: signal.Signals) -> list[RankProcess] | None:
        return None

    def output(self, folder: Path, job: str) -> Path:
        return folder / f"toy-{job.rpartition(':')[2]}.out"

    def watch_command(self, jobs: Sequence[str]) -> str:
        return f"ps {' '.join(str(_pid(job)) for job in jobs)}"


def _start(folder: Path, what: str) -> str:
    """Start a node, which waits for a line with its own id before it takes the run, or asks for its point."""
    pending = folder / "job" / "toy.out"
    with pending.open("wb") as output:
        argv = [sys.executable, "-m", "tests.backends.toy.node", str(folder), what]
        process: subprocess.Popen[Any] = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    pending.rename(pending.with_name(f"toy-{process.pid}.out"))
    assert process.stdin is not None
    process.stdin.write(f"toy:{process.pid}\n".encode())
    process.stdin.close()
    return f"toy:{process.pid}"


def _pid(job: str) -> int:
    return int(job.rpartition(":")[2])


def _lives(job: str) -> bool:
    try:
        return psutil.Process(_pid(job)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


BACKEND: Backend = ToyBackend()
