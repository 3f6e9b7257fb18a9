"""Who am I: the rank of this process as torchrun, srun or a person put it into the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from yoloscale.errors import ConfigError, Problem
from yoloscale.system import cpus
from yoloscale.system.slurm_step import SlurmStep, step_of


@dataclass(frozen=True)
class Ranks:
    """This process among the others. Ranks and nodes count from 0; a process started alone is rank 0 of 1.

    Ranks of a node need not follow each other: srun --distribution=cyclic deals them out.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    node: int = 0
    nodes: int = 1
    host: str = field(default_factory=socket.gethostname)
    is_task: bool = False  # started by srun itself, without torchrun
    bound_alike: int | None = None  # ranks on the CPUs beside the same GPUs as this one, where ranks are bound

    @property
    def is_first(self) -> bool:
        """True on the one rank that writes what exists once per run."""
        return self.rank == 0

    @property
    def is_first_of_node(self) -> bool:
        """True on the one rank of each node that writes what exists once per node."""
        return self.local_rank == 0

    @property
    def cpu_share(self) -> int:
        """CPUs for this rank and the processes that it starts."""
        return cpus.share(self.local_world_size, is_task=self.is_task, bound_alike=self.bound_alike)


def from_environment(environ: Mapping[str, str] = os.environ) -> Ranks:
    """Read torchrun's variables, or those of an srun with a task for each rank; else this is a single process.

    Raises ConfigError for torchrun in several tasks of one node, where each would start all of the node's ranks, and
    for tasks that all are told to be rank 0.
    """
    step = step_of(environ)
    is_torchruns = "TORCHELASTIC_RUN_ID" in environ  # a site may set RANK and the others for the tasks of an srun
    if is_torchruns and step is not None and step.tasks > step.nodes:
        raise ConfigError(_both(step))
    if step is not None and not is_torchruns and _is_of_the_script(environ, step):
        raise ConfigError(_exported(step))
    if "RANK" in environ:
        return _by_variables(environ, step if not is_torchruns else None)
    if step is not None and step.tasks > 1:
        return _by_step(step)
    return Ranks()


def _by_variables(environ: Mapping[str, str], step: SlurmStep | None) -> Ranks:
    """As torchrun's variables have it; where a site sets some of them for the tasks of `step`, SLURM tells the rest."""
    is_task = step is not None and step.tasks > 1
    world_size = int(environ["WORLD_SIZE"])
    base = _by_step(step) if step is not None and is_task else Ranks(local_world_size=world_size)
    rank = int(environ["RANK"])
    local_world_size = int(environ.get("LOCAL_WORLD_SIZE", str(base.local_world_size)))
    return Ranks(
        rank=rank,
        world_size=world_size,
        local_rank=int(environ.get("LOCAL_RANK", str(base.local_rank))),
        local_world_size=local_world_size,
        node=base.node if is_task else int(environ.get("GROUP_RANK", str(rank // local_world_size))),
        nodes=base.nodes if is_task else int(environ.get("GROUP_WORLD_SIZE", str(world_size // local_world_size))),
        is_task=is_task,
    )


def _by_step(step: SlurmStep) -> Ranks:
    return Ranks(
        step.task, step.tasks, step.local_task, step.local_tasks, node=step.node, nodes=step.nodes, is_task=True
    )


def _is_of_the_script(environ: Mapping[str, str], step: SlurmStep) -> bool:
    """Whether a batch script has exported RANK=$SLURM_PROCID, which is 0 there, and srun has handed it to all tasks."""
    has_all_tasks = environ.get("WORLD_SIZE") == str(step.tasks) and step.tasks > 1
    return has_all_tasks and environ.get("RANK") == "0" and step.task > 0


def variables_of(ranks: Ranks) -> dict[str, str]:
    """What libraries read at their import to know the rank; an srun with a task for each rank does not set it."""
    return {
        "RANK": str(ranks.rank),
        "WORLD_SIZE": str(ranks.world_size),
        "LOCAL_RANK": str(ranks.local_rank),
        "LOCAL_WORLD_SIZE": str(ranks.local_world_size),
    }


def rendezvous_of_step(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that torchrun would have set for where ranks meet, in an srun with a task for each rank."""
    step = step_of(environ)
    if step is None or step.tasks == 1 or "MASTER_ADDR" in environ:
        return {}
    return {"MASTER_ADDR": step.first_host, "MASTER_PORT": str(step.port)}


def _exported(step: SlurmStep) -> Problem:
    found = f"0 in task {step.task} of an srun with {step.tasks} tasks: the batch script has set it for all of them"
    return Problem("RANK", found, "write `unset RANK WORLD_SIZE LOCAL_RANK` before srun, which tells each task its own")


def _both(step: SlurmStep) -> Problem:
    found = f"torchrun in each of {step.tasks} tasks on {step.nodes} nodes: each would start all ranks of its node"
    instead = "srun --ntasks-per-node=1 torchrun …, or: srun --ntasks=RANKS python -m yoloscale.worker RUN"
    return Problem("srun", found, instead)
