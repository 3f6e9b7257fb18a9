"""How many CPUs this process may really use."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from yoloscale.system import cgroups
from yoloscale.system.slurm_step import step_of
from yoloscale.system.variables import CPU_SHARE


def available() -> int:
    """The least of CPU affinity, cgroup quota, what SLURM gave and YOLOSCALE_CPUS; at least 1."""
    limits = [affinity(), _cgroup_quota(), _of_slurm(), _number(CPU_SHARE)]
    return max(1, min(limit for limit in limits if limit is not None))


def share(ranks: int, *, is_task: bool = False, bound_alike: int | None = None) -> int:
    """CPUs of one of the `ranks` of this node, at least 1.

    What limits the node is divided among its ranks; what is a rank's own already is not.

    Args:
        is_task: srun has started the rank as a task of its own, whose SLURM_CPUS_PER_TASK and affinity are its own.
        bound_alike: ranks with the same affinity as this one, where ranks are bound to parts of the node.
    """
    quota = _cgroup_quota()
    limits = [] if quota is None else [quota // ranks]
    if (point := _number(CPU_SHARE)) is not None:
        limits.append(point // ranks)
    if is_task:  # without --cpus-per-task, a task may still see all CPUs that the job has on the node
        per_task = _number("SLURM_CPUS_PER_TASK") or (_number("SLURM_CPUS_ON_NODE") or affinity()) // ranks
        limits += [per_task, affinity() // (bound_alike or 1)]
    else:
        if (of_node := _of_slurm()) is not None:
            limits.append(of_node // ranks)
        limits.append(affinity() // (bound_alike or ranks))
    return max(1, min(limits))


def affinity() -> int:
    """CPUs that this process is bound to."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _of_slurm() -> int | None:
    """CPUs of a task of srun, or of a batch script; one for several tasks starts each of them by itself, as it may."""
    per_node = os.environ.get("SLURM_NTASKS_PER_NODE") or os.environ.get("SLURM_TASKS_PER_NODE", "")
    is_alone = step_of(os.environ) is None and re.fullmatch(r"1(\(x\d+\))?", per_node)
    of_script = _number("SLURM_CPUS_ON_NODE") if is_alone else None
    return of_script or _number("SLURM_CPUS_PER_TASK")


def _number(variable: str) -> int | None:
    value = os.environ.get(variable, "")
    return int(value) if value.isdigit() and int(value) > 0 else None


def _cgroup_quota(proc: Path = cgroups.PROC, root: Path = cgroups.MOUNT) -> int | None:
    """CPUs by the tightest quota of this process's control groups, v2 or v1, up to the root; None without one."""
    quotas = [quota for folder in cgroups.folders("cpu", proc, root) if (quota := _quota_of(folder)) is not None]
    return max(1, math.ceil(min(quotas))) if quotas else None


def _quota_of(folder: Path) -> float | None:
    """CPUs of one group: v2 `cpu.max` holds "QUOTA PERIOD" or "max PERIOD"; v1 has a file each, -1 for no quota."""
    fields = cgroups.read(folder / "cpu.max").split()
    if not fields:
        fields = cgroups.read(folder / "cpu.cfs_quota_us").split() + cgroups.read(folder / "cpu.cfs_period_us").split()
    if len(fields) != 2 or not fields[0].isdigit() or int(fields[1]) == 0:
        return None
    return int(fields[0]) / int(fields[1])
