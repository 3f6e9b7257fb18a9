"""How many points train at a time on this machine, and what each of them gets. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from yoloscale.config.check.gpus import number_problems
from yoloscale.config.schema import ClusterConfig, Device
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.formatting import counted
from yoloscale.system.machine import Machine


@dataclass(frozen=True)
class Slots:
    """Room for `count` points at a time.

    gpus: names as in CUDA_VISIBLE_DEVICES that points take theirs from; None on CPUs.
    """

    count: int
    ranks: int  # of one point
    cpus: int  # that one point may count on
    gpus: tuple[str, ...] | None = None

    def choose(self, busy: Collection[str]) -> tuple[str, ...] | None:
        """GPUs for another point, none of them among those that are busy; None if too few are free. () on CPUs."""
        if self.gpus is None:
            return ()
        free = [name for name in self.gpus if name not in busy]
        return tuple(free[: self.ranks]) if len(free) >= self.ranks else None


def plan_slots(
    cluster: ClusterConfig, machine: Machine, *, parallel: int | None = None, visible: str | None = None
) -> Slots:
    """How many points of a resolved cluster section fit at a time, or room for `sweep.parallel` if that many do.

    `visible`: CUDA_VISIBLE_DEVICES, if it is set. Raises ConfigError, with the numbers, if points would share GPUs, or
    ranks would share cores.
    """
    if parallel is not None and parallel < 1:
        raise ConfigError(Problem("sweep.parallel", f"{parallel}", "write at least 1"))
    assert cluster.procs_per_node is not None, "resolve the config first"
    if cluster.device is Device.cpu:
        return _on_cpus(cluster.procs_per_node, cluster.threads, machine, parallel)
    return _on_gpus(cluster.procs_per_node, named_gpus(cluster.gpus, machine, visible), machine, parallel)


def named_gpus(chosen: Sequence[int] | None, machine: Machine, visible: str | None) -> tuple[str, ...]:
    """GPUs as CUDA_VISIBLE_DEVICES names them: those `chosen` by their place among the visible ones, or all of these.

    Raises ConfigError for a place where there is none.
    """
    names = [entry.strip() for entry in visible.split(",")] if visible is not None else []
    seen = names[: machine.gpu_count] or [str(index) for index in range(machine.gpu_count)]
    if chosen is None:
        return tuple(seen)
    if problems := number_problems(chosen, len(seen)):
        raise ConfigError(problems)
    return tuple(seen[index] for index in chosen)


def _on_gpus(ranks: int, gpus: tuple[str, ...], machine: Machine, parallel: int | None) -> Slots:
    most = len(gpus) // ranks
    if most == 0:
        found = f"{ranks}, but {counted(len(gpus), 'GPU')} for the sweep"
        instead = f"write cluster.procs_per_node={max(len(gpus), 1)} or fewer; each rank has a GPU of its own"
        raise ConfigError(Problem("cluster.procs_per_node", found, instead))
    if parallel is not None and parallel > most:
        found = f"{parallel} points of {counted(ranks, 'rank')} need {parallel * ranks} GPUs; there are {len(gpus)}"
        raise ConfigError(Problem("sweep.parallel", found, _fewer(most, ranks, len(gpus) // parallel)))
    return Slots(parallel or most, ranks, max(1, machine.cpus // (parallel or most)), gpus)


def _on_cpus(ranks: int, threads: int | None, machine: Machine, parallel: int | None) -> Slots:
    each = ranks * (threads or 1)
    most = max(1, machine.cpus // each)
    if parallel is not None and parallel > most:
        size = counted(ranks, "rank") + (f" with {counted(threads, 'thread')}" if threads else "")
        found = f"{parallel} points of {size} need {parallel * each} CPUs; there are {machine.cpus}"
        raise ConfigError(Problem("sweep.parallel", found, _fewer(most, ranks, machine.cpus // parallel)))
    return Slots(parallel or most, ranks, max(1, machine.cpus // (parallel or most)))


def _fewer(most: int, ranks: int, fitting: int) -> str:
    """`fitting`: how many ranks of each point would go with what was asked for."""
    alternative = f", or cluster.procs_per_node={fitting} with it" if 0 < fitting < ranks else ""
    return f"write sweep.parallel={most}{alternative}"
