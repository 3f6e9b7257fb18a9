"""What a site's SLURM says about the CPUs beside a GPU, for jobs that ask for GPUs and no CPUs."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import TypeVar

from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.config.schema import RunConfig
from yoloscale.config.schema.slurm import CPUS_PER_GPU, gpus_in, gpus_of, lacks_cpus

_Run = TypeVar("_Run", bound=RunConfig)
_TIMEOUT_S = 5.0


def with_site_cpus(config: _Run) -> _Run:
    """A config whose job asks for CPUs beside its GPUs, as the site's DefCpuPerGPU has it, or as its nodes have them.

    SLURM itself would give a task one CPU on most sites. Where SLURM does not answer, `resolve` takes the usual number.
    """
    cluster = config.cluster
    if cluster.is_here or not lacks_cpus(cluster):
        return config
    gpus = gpus_of(cluster) or 1
    per_gpu = _cpus_per_gpu((cluster.partition or "").partition(",")[0], gpus)
    return config if per_gpu is None else replace(config, cluster=replace(cluster, cpus_per_task=per_gpu * gpus))


@cache
def _cpus_per_gpu(partition: str, gpus: int) -> int | None:
    try:
        partitions = call(["scontrol", "show", "partition", *([partition] if partition else [])], timeout_s=_TIMEOUT_S)
        nodes = call(["sinfo", "--noheader", "--Node", "--format=%P %c %G"], timeout_s=_TIMEOUT_S)
        whole = call(["scontrol", "show", "config"], timeout_s=_TIMEOUT_S)
    except SlurmError:
        return None
    name = partition or default_partition(partitions)
    per_gpu = default_cpus(partition_of(partitions, name)) or default_cpus(whole)
    return per_gpu or fitting_cpus(nodes, name, gpus)


def default_partition(partitions: str) -> str:
    """The name of the partition that jobs go to by themselves, from `scontrol show partition`."""
    blocks = [block for block in partitions.split("\n\n") if re.search(r"\bDefault=YES\b", block)]
    match = re.search(r"PartitionName=(\S+)", blocks[0]) if blocks else None
    return match[1] if match else ""


def partition_of(text: str, name: str) -> str:
    """The part about one partition."""
    return next((block for block in text.split("\n\n") if re.search(rf"PartitionName={re.escape(name)}\b", block)), "")


def default_cpus(text: str) -> int | None:
    """DefCpuPerGPU among the defaults for jobs that scontrol shows of a partition, or of the whole cluster."""
    match = re.search(r"\bJobDefaults\s*=\s*\S*DefCpuPerGPU=(\d+)", text)
    return int(match[1]) if match and int(match[1]) > 0 else None


def fitting_cpus(nodes: str, partition: str, gpus: int) -> int | None:
    """The usual number, or fewer where the partition's nodes with so many GPUs have fewer; None if it has no such node.

    `nodes` are lines of partition (`*` behind the default one), CPUs and generic resources.
    """
    rows = [line.split(maxsplit=2) for line in nodes.splitlines() if len(line.split(maxsplit=2)) == 3]
    counts = [
        int(count) // node_gpus
        for name, count, gres in rows
        if name.rstrip("*") == partition and (node_gpus := gpus_in(gres)) >= gpus and count.isdigit()
    ]
    return max(1, min(CPUS_PER_GPU, *counts)) if counts else None
