"""SLURM: a job for each run, or an array of them for a sweep."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from yoloscale.backends.base import Allocation, Backend, JobRequest, PointJobs, RankProcess
from yoloscale.backends.slurm import own_job
from yoloscale.config.schema import ClusterConfig, RunConfig
from yoloscale.errors import Problem
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import Answer, Ask
from yoloscale.system.remarks import Say
from yoloscale.system.slurm_step import job_of, point_of

_Run = TypeVar("_Run", bound=RunConfig)


class SlurmBackend:
    """Jobs of a SLURM cluster, by its commands; ids are those that sbatch prints, `41`, or `21_3` of an array."""

    name = own_job.NAME

    def check(self, cluster: ClusterConfig) -> list[Problem]:
        """What sbatch would refuse, and what would make another job than a person thinks. Pure."""
        from yoloscale.backends.slurm.check import slurm_problems

        return slurm_problems(cluster)

    def check_site(self, config: RunConfig, say: Say, *, points: int = 1) -> list[Problem]:
        """Limits of time, nodes and jobs; nothing where SLURM does not answer."""
        from yoloscale.backends.slurm import limits

        return limits.site_problems(config, say, points=points)

    def complete(self, config: _Run) -> _Run:
        """CPUs beside the GPUs of a job, as the site has them."""
        from yoloscale.backends.slurm import site

        return site.with_site_cpus(config)

    def remarks(self, config: RunConfig) -> list[str]:
        """What a command typed in a job leaves unused of it."""
        return own_job.remarks_in_job(config)

    def inside(self) -> Allocation | None:
        """The job of `salloc`, or of a batch script; None in a task of an srun."""
        return own_job.own_job()

    def current_job(self) -> str | None:
        """By SLURM's variables, which the terminal of `salloc` has, too."""
        return job_of(os.environ)

    def current_point(self) -> int | None:
        """By the variables of an array's element."""
        return point_of(os.environ)

    def job_time_left(self) -> Callable[[], float | None] | None:
        """On a node of a job; a login node's terminal may have the variables of one, too."""
        return own_job.left_s if "SLURMD_NODENAME" in os.environ else None

    def render(self, request: JobRequest) -> bytes:
        from yoloscale.backends.slurm import render

        return render.script_of(request)

    def render_points(self, request: JobRequest, indices: Sequence[int]) -> list[JobRequest]:
        from yoloscale.backends.slurm import arrays, limits

        return arrays.jobs_of(request, arrays.parts_of(indices, limits.ask_array_limits()))

    def submit(self, request: JobRequest, *arguments: str) -> str:
        from yoloscale.backends.slurm import submit

        job = submit.submit(request, *arguments)
        return f"{job}_0" if request.is_one_run else job

    def submit_points(self, request: JobRequest, indices: Sequence[int]) -> Iterator[PointJobs]:
        """One array if the site takes it, else several of consecutive points."""
        from yoloscale.backends.slurm import arrays, limits, submit

        return arrays.submit_parts(request, arrays.parts_of(indices, limits.ask_array_limits()), submit.submit)

    def ask(self, jobs: Collection[str]) -> Answer:
        """One call of squeue, and one of sacct for those that it has forgotten."""
        from yoloscale.backends.slurm import queue

        return queue.ask(jobs)

    def cancel(self, jobs: Collection[str]) -> None:
        from yoloscale.backends.slurm import arrays

        arrays.cancel_jobs(jobs)

    def cancel_run(self, run: RunDirectory, asked: Ask, *, at_once: bool, timeout_s: float) -> bool:
        """Ranks save first if there are any, and then the job ends."""
        from yoloscale.backends.slurm.cancel import cancel_job

        return cancel_job(run, asked, at_once=at_once, timeout_s=timeout_s)

    def signal(self, job: str, ranks: Sequence[RankProcess], number: signal.Signals) -> list[RankProcess] | None:
        """By a step of srun on each node; None where there is no srun."""
        from yoloscale.backends.slurm.signals import send_in_job

        return send_in_job(job, ranks, number) if shutil.which("srun") is not None else None

    def output(self, folder: Path, job: str) -> Path:
        return folder / f"slurm-{job}.out"

    def watch_command(self, jobs: Sequence[str]) -> str:
        return f"squeue -j {shlex.quote(','.join(jobs))}"


BACKEND: Backend = SlurmBackend()
