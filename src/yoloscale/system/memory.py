"""How much memory this process and its neighbours may still take: that of the job, not that of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from yoloscale.system import cgroups

_UNLIMITED = 2**60  # bytes; control groups v1 say a number about that large
_JOB = "SLURM_JOB_ID"


@dataclass(frozen=True)
class Room:
    """Bytes that may still be taken on this node, and what sets the limit, for people."""

    free_bytes: int
    limit: str


def available() -> Room:
    """The least of what the machine, each control group of this process and SLURM leave; at least 0 bytes.

    Pages of /dev/shm count as memory of the group that wrote them. The file cache is given back on demand: it is free.
    """
    import psutil

    rooms = [Room(psutil.virtual_memory().available, "the machine"), *_groups(), *_slurms()]
    return min(rooms, key=lambda room: room.free_bytes)


def _groups(proc: Path = cgroups.PROC, root: Path = cgroups.MOUNT) -> Iterator[Room]:
    """What the process's control groups leave, v2 or v1, each up to the root."""
    for folder in cgroups.folders("memory", proc, root):
        limits = [_number(folder / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
        used = [_number(folder / name) for name in ("memory.current", "memory.usage_in_bytes")]
        limit = min((limit for limit in limits if limit is not None), default=_UNLIMITED)
        if limit < _UNLIMITED and any(use is not None for use in used):
            used_bytes = next(use for use in used if use is not None) - _reclaimable(folder)
            words = f"the control group's limit of {limit / 2**30:.1f} GiB"
            yield Room(max(limit - max(used_bytes, 0), 0), words)


def _reclaimable(folder: Path) -> int:
    """Bytes of the file cache and of the kernel's caches of a group and those below it; never those of /dev/shm."""
    fields = [line.split() for line in cgroups.read(folder / "memory.stat").splitlines()]
    stat = {field[0]: int(field[1]) for field in fields if len(field) == 2 and field[1].isdigit()}
    caches = ("active_file", "inactive_file", "slab_reclaimable")
    return sum(stat.get(f"total_{name}", stat.get(name, 0)) for name in caches)  # v1 has totals of its own


def _number(path: Path) -> int | None:
    text = cgroups.read(path).strip()
    return int(text) if text.isdigit() else None


def _slurms(environ: Mapping[str, str] = os.environ) -> Iterator[Room]:
    """What the memory that the job was given leaves, where SLURM watches over it itself, without control groups."""
    limit = job_limit(environ)
    if limit is not None:
        yield Room(max(limit - _held_by(environ.get(_JOB, "")), 0), f"the job's --mem of {limit / 2**30:.1f} GiB")


def job_limit(environ: Mapping[str, str]) -> int | None:
    """Bytes that SLURM gave the job on this node; None outside of a job, or where it has the whole node (--mem=0)."""
    variables = (
        ("SLURM_MEM_PER_NODE", ""),
        ("SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"),
        ("SLURM_MEM_PER_GPU", "SLURM_GPUS_ON_NODE"),
    )
    for per, count in variables:
        amount, times = environ.get(per, ""), environ.get(count, "1") if count else "1"
        if amount.isdigit() and times.isdigit() and int(amount) > 0:
            return int(amount) * int(times) * 2**20
    return None


def _held_by(job: str) -> int:
    """Bytes of their own that the job's processes on this node hold, as far as they may be looked at."""
    import psutil

    total = 0
    for process in psutil.process_iter():
        try:
            if job and process.environ().get(_JOB) == job:
                memory = process.memory_info()
                total += memory.rss - getattr(memory, "shared", 0)
        except (psutil.Error, OSError):
            continue
    return total
