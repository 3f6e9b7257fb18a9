"""What SLURM says of this process in its environment. Pure; for the launcher on a node and for a rank alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from yoloscale.system.variables import FIRST_POINT

_FIRST_PORT, _PORTS = 15000, 16000  # below the range that Linux takes ports for outgoing connections from
_SPECIAL_STEP = 0xFFFFFF00  # numbers above are SLURM's own: the batch script, the shell of salloc


@dataclass(frozen=True)
class SlurmStep:
    """This process among the tasks of its srun.

    Args:
        job: what scontrol and scancel take: an id, or ARRAY_TASK for an element of an array.
        number: the job's alone, also among the elements of an array.
        restarts: how often SLURM has requeued the job.
        first_host: name of the node with task 0.
    """

    job: str
    number: int
    step: int
    restarts: int
    first_host: str
    task: int
    tasks: int
    nodes: int
    node: int
    local_task: int
    local_tasks: int

    @property
    def start(self) -> str:
        """The same for all tasks of one srun, and for no other."""
        return f"{self.job}.{self.restarts}.{self.step}"

    @property
    def port(self) -> int:
        """One for the rendezvous: those of jobs that share a node differ, as their numbers do."""
        return _FIRST_PORT + (self.number * 7 + self.step) % _PORTS


def job_of(environ: Mapping[str, str]) -> str | None:
    """The SLURM job that this process runs in, as scontrol takes it; None outside of any."""
    if "SLURM_JOB_ID" not in environ:
        return None
    if "SLURM_ARRAY_JOB_ID" in environ and "SLURM_ARRAY_TASK_ID" in environ:
        return f"{environ['SLURM_ARRAY_JOB_ID']}_{environ['SLURM_ARRAY_TASK_ID']}"
    return environ["SLURM_JOB_ID"]


def point_of(environ: Mapping[str, str]) -> int | None:
    """The index of a sweep's point that this element of an array trains; None outside of one.

    A sweep with more points than the site's largest array has several; the script of such an array says which point
    its element 0 is, with the array's id before it, as a job may be submitted from within another.
    """
    if "SLURM_ARRAY_TASK_ID" not in environ:
        return None
    array, _, first = environ.get(FIRST_POINT, "").partition(":")
    return int(environ["SLURM_ARRAY_TASK_ID"]) + (int(first) if array == environ.get("SLURM_ARRAY_JOB_ID") else 0)


def restarts_of(environ: Mapping[str, str]) -> int:
    """How often SLURM has requeued this job; its variable is not set on the first start."""
    return int(environ.get("SLURM_RESTART_COUNT", "0"))


def step_of(environ: Mapping[str, str]) -> SlurmStep | None:
    """This task of an srun; None outside of one: in a batch script, in the shell of salloc, without SLURM."""
    job = job_of(environ)
    if job is None or "SLURM_STEP_NUM_TASKS" not in environ or int(environ["SLURM_STEP_ID"]) >= _SPECIAL_STEP:
        return None
    return SlurmStep(
        job=job,
        number=int(environ["SLURM_JOB_ID"]),
        step=int(environ["SLURM_STEP_ID"]),
        restarts=restarts_of(environ),
        first_host=first_host(environ["SLURM_STEP_NODELIST"]),
        task=int(environ["SLURM_PROCID"]),
        tasks=int(environ["SLURM_STEP_NUM_TASKS"]),
        nodes=int(environ["SLURM_STEP_NUM_NODES"]),
        node=int(environ["SLURM_NODEID"]),
        local_task=int(environ["SLURM_LOCALID"]),
        local_tasks=tasks_on(environ["SLURM_STEP_TASKS_PER_NODE"], int(environ["SLURM_NODEID"])),
    )


def tasks_on(tasks_per_node: str, node: int) -> int:
    """How many tasks a node has by SLURM's list of counts: `4(x2),1` is 4, 4, 1."""
    counts = list[int]()
    for part in tasks_per_node.split(","):
        count, _, times = part.rstrip(")").partition("(x")
        counts += [int(count)] * int(times or 1)
    return counts[node]


def first_host(nodelist: str) -> str:
    """The first of SLURM's list of hosts: `rack[02-04,7]n[1-2],login` → `rack02n1`."""
    first = re.split(r",(?![^\[]*\])", nodelist)[0]
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first)
