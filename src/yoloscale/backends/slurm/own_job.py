"""The SLURM job that a command is typed in: what it has, and what of the config it decides.

A person who has a job already, by `salloc` or a batch script, has asked for nodes, GPUs and CPUs there. With
cluster=slurm the ranks get all of it, unless the config says otherwise.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.backends.slurm.facts import parse
from yoloscale.config.schema import ClusterConfig, Device, RunConfig
from yoloscale.config.schema.slurm import CPUS_PER_GPU, OPTIONS, gpus_in, gpus_of, is_exclusive, passed_through
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.cpus import affinity, available
from yoloscale.system.remarks import Say
from yoloscale.system.slurm_step import job_of, step_of

if TYPE_CHECKING:
    from yoloscale.agent.attempt import Observer
    from yoloscale.agent.outcome import Outcome
    from yoloscale.backends.run_lock import RunLock

_Run = TypeVar("_Run", bound=RunConfig)
NAME = "slurm"
_TIMEOUT_S = 10.0
_NODES = re.compile(r"^\s+Nodes=\S+ CPU_IDs=(?P<cpus>\S+) Mem=\S+ GRES=(?P<gres>.*)$", re.MULTILINE)
_HALF_CORES = ("SLURM_HINT", "SLURM_THREADS_PER_CORE")  # then srun does not give all CPUs that the job has
# srun reads them as options: how a person's own tasks were to share a node, of which the launcher is the only one
_OF_TASKS = (
    *("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE", "SLURM_NTASKS_PER_CORE", "SLURM_NTASKS_PER_SOCKET"),
    *("SLURM_NTASKS_PER_GPU", "SLURM_CPUS_PER_TASK", "SLURM_CPUS_PER_GPU", "SLURM_TRES_PER_TASK", "SLURM_TRES_BIND"),
    *("SLURM_GPUS", "SLURM_GPUS_PER_TASK", "SLURM_GPUS_PER_SOCKET", "SLURM_GPU_BIND", "SLURM_MEM_PER_GPU"),
)

_UNNAMED = (
    "name= is not given: when SLURM starts job {} again, this is another run; with a name it goes on with this one"
)


@dataclass(frozen=True)
class OwnJob:
    """A job whose nodes this process may use: an `Allocation`.

    Args:
        name: what scontrol takes.
        gpus: of the node that has fewest; None if SLURM does not tell.
        cpus: likewise; None also where srun would not give them all.
    """

    name: str
    nodes: int
    gpus: int | None = None
    cpus: int | None = None

    def fit(self, config: _Run, say: Say, *, says_nodes: bool, frozen: RunConfig | None = None) -> _Run:
        """As the seam has it. A run that goes on keeps the nodes and GPUs it was `frozen` with, if the job has as many.

        `say` gets what was taken, and what only sbatch would have read.
        """
        cluster, before = config.cluster, None if frozen is None else frozen.cluster
        unchanged, from_job = dict[str, Any](), dict[str, Any]()
        if not says_nodes and before is not None and before.nodes <= self.nodes:
            unchanged["nodes"] = before.nodes
        elif not says_nodes and self.nodes > 1:
            from_job["nodes"] = self.nodes
        device = before.device if before is not None and cluster.device is Device.auto else cluster.device
        names_gpus = gpus_of(cluster) is not None or cluster.gpus_per_node is not None or cluster.gpus is not None
        if self.gpus and device is not Device.cpu and not names_gpus:
            if before is not None and 0 < (gpus_of(before) or 0) <= self.gpus:
                unchanged["gpus_per_node"] = before.gpus_per_node or str(gpus_of(before))
            else:
                from_job["gpus_per_node"] = str(self.gpus)
        if cluster.cpus_per_task is None and self.cpus is not None:
            from_job["cpus_per_task"] = self.cpus
        if from_job:
            words = " ".join(f"cluster.{key}={value}" for key, value in from_job.items())
            say(f"job {self.name}, in which this is typed, has {words}")
        if unread := _only_for_sbatch(cluster):
            say(f"job {self.name} was asked for before: {', '.join(unread)} of this command change nothing in it")
        return replace(config, cluster=replace(cluster, **unchanged, **from_job))

    def refuse_too_small(self, config: RunConfig) -> None:
        """Raise ConfigError if the job has fewer nodes than the run is to have, or less in one of them."""
        cluster, problems = config.cluster, list[Problem]()
        submit = "to submit a job from here: env -u SLURM_JOB_ID yoloscale …"
        wishes = (
            ("nodes", cluster.nodes, self.nodes, ""),
            ("gpus_per_node", gpus_of(cluster), self.gpus, " in a node"),
            ("cpus_per_task", cluster.cpus_per_task, self.cpus, " in a node"),
        )
        for key, wish, limit, where in wishes:
            if wish is not None and limit is not None and wish > limit:
                words = f"{wish}, but job {self.name}, which this is typed in, has {limit}{where}"
                instead = (
                    f"write cluster.{key}={limit}" if limit > 0 else "write device=cpu, or ask for GPUs with the job"
                )
                problems.append(Problem(f"cluster.{key}", words, f"{instead}; {submit}"))
        if problems:
            raise ConfigError(problems)

    def run(self, taken: RunLock, config: RunConfig, typed: Sequence[str], observer: Observer) -> Outcome:
        """Run the job script here: srun starts a launcher on each node."""
        from yoloscale.backends.slurm.allocation import run_inside

        return run_inside(taken, config, tuple(typed), self, observer)


def own_job(environ: Mapping[str, str] = os.environ, ask: Callable[..., str] = call) -> OwnJob | None:
    """The job whose nodes a command typed here would use; None outside of one, and in a task of an srun."""
    name = job_of(environ)
    if name is None or step_of(environ) is not None:
        return None
    job = OwnJob(name, int(environ["SLURM_JOB_NUM_NODES"]))
    try:
        lines = list(_NODES.finditer(ask(["scontrol", "show", "job", "--details", name], timeout_s=_TIMEOUT_S)))
    except SlurmError:
        return job
    if not lines:
        return job
    counts = [_count(line["cpus"]) for line in lines]
    cpus = None if any(name in environ for name in _HALF_CORES) else min((n for n in counts if n), default=None)
    is_counted = any(line["gres"].strip() for line in lines)  # a site without generic resources has GPUs all the same
    return replace(job, gpus=min(gpus_in(line["gres"]) for line in lines) if is_counted else None, cpus=cpus)


def left_s(environ: Mapping[str, str] = os.environ, ask: Callable[..., str] = call) -> float | None:
    """Seconds until the running job around this process ends, inf without a limit; None where there is none to ask."""
    name = job_of(environ)
    if name is None:
        return None
    try:
        facts = parse(ask(["scontrol", "show", "job", name], timeout_s=_TIMEOUT_S))
    except SlurmError:
        return None
    if facts.state != "RUNNING":  # a terminal may outlive its job
        return None
    return math.inf if facts.left_s is None else facts.left_s


def environment_inside(cluster: ClusterConfig, job: OwnJob, environ: Mapping[str, str]) -> dict[str, str]:
    """What the script of a run sees in somebody's job: srun gives its one task on a node all that the run has there.

    GPUs that SLURM does not count cannot be asked for: every task sees them.
    """
    variables = {name: value for name, value in environ.items() if name not in _OF_TASKS}
    gpus = gpus_of(cluster)
    return variables if gpus is None or not job.gpus else {**variables, "SLURM_GPUS_PER_NODE": str(gpus)}


def remarks_in_job(config: RunConfig, environ: Mapping[str, str] = os.environ) -> list[str]:
    """A line where a command that is typed in a job uses less of it than a person may think."""
    job, step = job_of(environ), step_of(environ)
    if job is None:
        return []
    is_batch = "SLURMD_NODENAME" in environ and "SLURM_PTY_PORT" not in environ
    lines = [_UNNAMED.format(job)] if config.name is None and is_batch else []
    if step is not None:
        return lines + _remarks_in_task(config, job, environ)
    lines += _few_cpus(config.cluster, job)
    return lines if config.cluster.launcher == NAME else lines + _remarks_on_nodes(job, environ)


def _few_cpus(cluster: ClusterConfig, job: str) -> list[str]:
    """Most sites give one CPU to a job that says nothing of CPUs, however many GPUs it has."""
    ranks, cpus = cluster.procs_per_node or 1, cluster.cpus_per_task or available()
    if cluster.device is not Device.cuda or cpus >= 2 * ranks:
        return []
    more = f"ask for more with the job, as #SBATCH --cpus-per-task={CPUS_PER_GPU * ranks} if it has one task on a node"
    return [f"job {job} has {cpus} CPUs on a node for {ranks} GPU ranks and what loads their images: {more}"]


def _remarks_on_nodes(job: str, environ: Mapping[str, str]) -> list[str]:
    here = os.uname().nodename
    if "SLURMD_NODENAME" not in environ:
        return [f"this trains here, on {here}, which is no node of job {job}: cluster=slurm trains on its nodes"]
    nodes = int(environ.get("SLURM_JOB_NUM_NODES", "1"))
    if nodes > 1:
        return [f"job {job} has {nodes} nodes, and this trains on {here} alone: cluster=slurm trains on all of them"]
    return []


def _remarks_in_task(config: RunConfig, job: str, environ: Mapping[str, str]) -> list[str]:
    if config.cluster.launcher == NAME:
        return [
            f"this is a task of job {job}, from which cluster=slurm submits another one: without srun it uses {job}"
        ]
    lines = []
    gpus = _count(environ.get("SLURM_JOB_GPUS", ""))
    if gpus is not None and "SLURM_STEP_GPUS" not in environ:
        more = f"write srun --gpus-per-node={gpus}, or leave srun out"
        lines.append(f"srun gave this task none of the {gpus} GPUs that job {job} has here: {more}")
    cpus_per_task, usable = environ.get("SLURM_CPUS_PER_TASK", ""), affinity()
    if cpus_per_task.isdigit() and usable < int(cpus_per_task):
        more = f"write srun --cpus-per-task={cpus_per_task}, or leave srun out"
        lines.append(f"srun gave this task {usable} of the {cpus_per_task} CPUs that job {job} asked for: {more}")
    return lines


def _only_for_sbatch(cluster: ClusterConfig) -> list[str]:
    """Keys that ask sbatch for something, and are no matter of the ranks' step."""
    names = [name for name in OPTIONS if name not in ("gpus_per_node", "cpus_per_task", "exclusive")]
    keys = [f"cluster.{name}" for name in names if getattr(cluster, name) is not None]
    keys += ["cluster.exclusive"] if is_exclusive(cluster) else []
    return keys + [f"cluster.sbatch.{name.replace('-', '_')}" for name in passed_through(cluster) if name != "gres"]


def _count(ranges: str) -> int | None:
    """How many numbers `0-7,16` has; None for anything else."""
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", ranges):
        return None
    ends = [part.split("-") for part in ranges.split(",")]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)
