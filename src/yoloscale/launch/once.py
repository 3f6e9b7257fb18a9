"""A launcher starts all ranks of a run by itself: several of them, started by torchrun, srun or mpirun, are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yoloscale.errors import ConfigError, Problem
from yoloscale.system.slurm_step import job_of, step_of

_MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "JSM_NAMESPACE_SIZE")
_QUESTIONS = ("-h", "--help", "--hydra-help", "--cfg", "-c", "--info", "-i", "--dry-run", "--prepare")


@dataclass(frozen=True)
class _Starter:
    """What has started this process, and how many of its kind."""

    name: str
    count: int


def refuse_several(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    """Raise ConfigError if what is typed after `yoloscale` is typed by several processes at once, each of a run's own.

    Nothing is made before that. Launchers that are told which node they are (`--node-rank`) may be several.
    """
    starter = _starter(environ)
    is_question = any(word in _QUESTIONS for word in words)
    is_node = any(word.partition("=")[0] == "--node-rank" for word in words)
    if starter is None or is_question or is_node:
        return
    found = f"`yoloscale {words[0]}` in each of {starter.count} processes, of which each would start all ranks"
    raise ConfigError(Problem(starter.name, found, _instead(words[0], starter, job_of(environ))))


def _starter(environ: Mapping[str, str]) -> _Starter | None:
    """None for a process that was started alone: also as the only task of an srun, or in the shell of salloc."""
    if "TORCHELASTIC_RUN_ID" in environ and (count := _number(environ, "WORLD_SIZE")) > 1:
        return _Starter("torchrun", count)
    step = step_of(environ)
    if step is not None and step.tasks > 1:
        return _Starter("srun", step.tasks)
    if (count := max(_number(environ, name) for name in _MPI_SIZES)) > 1:
        return _Starter("mpirun", count)
    if (rank := _number(environ, "PMIX_RANK")) > 0:  # of how many is not told
        return _Starter("mpirun", rank + 1)
    if (
        "RANK" in environ and (count := _number(environ, "WORLD_SIZE")) > 1
    ):  # accelerate, deepspeed, a pod of PyTorchJob
        return _Starter("RANK, WORLD_SIZE", count)
    return None


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    return int(text) if text.isdigit() else 0


def _instead(verb: str, starter: _Starter, job: str | None) -> str:
    """What to type; in a SLURM `job`, cluster=slurm starts the ranks on each of its nodes."""
    here = f"yoloscale {verb} … cluster.procs_per_node=RANKS starts the ranks here"
    on_nodes = f"yoloscale {verb} … cluster=slurm starts the ranks on all nodes"
    alone = f"type it once, without {starter.name}: {here if job is None else on_nodes}"
    ranks = "of a run that is there already, "
    if starter.name == "srun":
        alone = f"type it once, without srun, in the batch script or the shell of salloc: {on_nodes}"
        return f"{alone}\n{ranks}a task for each rank: srun --ntasks=RANKS python -m yoloscale.worker RUN"
    if starter.name == "RANK, WORLD_SIZE":
        alone = f"unset them, or give each node its number: yoloscale {verb} … cluster.nodes=N --node-rank K"
        if job is not None:
            alone = f"unset RANK WORLD_SIZE, where a script has set them for tasks of its own: {on_nodes}"
    return f"{alone}\n{ranks}the ranks alone: torchrun --nproc-per-node=RANKS -m yoloscale.worker RUN"
