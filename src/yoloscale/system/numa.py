"""Keeping a rank on the CPUs beside its GPU: on machines with several sockets, the others reach it by a slow way.

torchrun's `--numa-binding` does the same, but ends the start where the program `numactl` is absent, and asks CUDA from
the agent. Memory needs no word: Linux takes it from the part of the machine where it is first written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

DEVICES = Path("/sys/bus/pci/devices")


def cpus_near(address: str, devices: Path | None = None) -> frozenset[int]:
    """The CPUs beside a PCI device (`0000:17:00.0`); none where the kernel does not say."""
    try:
        return _parse(((devices or DEVICES) / address / "local_cpulist").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return frozenset()


def bind(near: Sequence[frozenset[int]], mine: int) -> int | None:
    """Keep this process, and those that it starts from now on, to the CPUs near its GPU, among those that it has.

    Main thread, before it starts others.

    Args:
        near: the CPUs near the GPU of each rank that shares this process's CPUs.
        mine: which of them is this one's.

    Returns:
        How many of the ranks are bound to these CPUs; None if nothing was bound: there is one socket, the kernel does
        not say, or somebody has bound this process elsewhere.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    here = os.sched_getaffinity(0)
    target = here & near[mine]
    if not target or target == here:
        return None
    os.sched_setaffinity(0, target)
    return sum(here & cpus == target for cpus in near)


def _parse(cpulist: str) -> frozenset[int]:
    """The kernel's list of numbers: `0-3,8` → 0, 1, 2, 3, 8."""
    cpus = set[int]()
    for part in cpulist.strip().split(","):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return frozenset(cpus)
