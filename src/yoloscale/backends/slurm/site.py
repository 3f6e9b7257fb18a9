"""What a site's SLURM says about the CPUs beside a GPU, for jobs that ask for GPUs and no CPUs."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.config.schema import Config
from yoloscale.config.schema.slurm import CPUS_PER_GPU, gpus_in, gpus_of, lacks_cpus

_TIMEOUT_S = 5.0


def with_site_cpus(config: Config) -> Config:
    """A config whose job asks for CPUs beside its GPUs, as the site's DefCpuPerGPU has it, or as its nodes have them.

    SLURM itself would give a task one CPU on most sites. Where SLURM does not answer, `resolve` takes the usual number.
    """
    cluster = config.cluster
    if cluster.is_here or not lacks_cpus(cluster):
        return config
    gpus = gpus_of(cluster) or 1
    each = _cpus_per_gpu((cluster.partition or "").partition(",")[0], gpus)
    return config if each is None else replace(config, cluster=replace(cluster, cpus_per_task=each * gpus))


@cache
def _cpus_per_gpu(partition: str, gpus: int) -> int | None:
    try:
        shown = call(["scontrol", "show", "partition", *([partition] if partition else [])], timeout_s=_TIMEOUT_S)
        nodes = call(["sinfo", "--noheader", "--Node", "--format=%P %c %G"], timeout_s=_TIMEOUT_S)
        whole = call(["scontrol", "show", "config"], timeout_s=_TIMEOUT_S)
    except SlurmError:
        return None
    name = partition or default_partition(shown)
    said = default_cpus(partition_of(shown, name)) or default_cpus(whole)
    return said or fitting_cpus(nodes, name, gpus)


def default_partition(shown: str) -> str:
    """The name of the partition that jobs go to by themselves, from `scontrol show partition`."""
    blocks = [block for block in shown.split("\n\n") if re.search(r"\bDefault=YES\b", block)]
    found = re.search(r"PartitionName=(\S+)", blocks[0]) if blocks else None
    return found[1] if found else ""


def partition_of(shown: str, name: str) -> str:
    """The part about one partition."""
    return next((block for block in shown.split("\n\n") if re.search(rf"PartitionName={re.escape(name)}\b", block)), "")


def default_cpus(shown: str) -> int | None:
    """DefCpuPerGPU among the defaults for jobs that scontrol shows of a partition, or of the whole cluster."""
    found = re.search(r"\bJobDefaults\s*=\s*\S*DefCpuPerGPU=(\d+)", shown)
    return int(found[1]) if found and int(found[1]) > 0 else None


def fitting_cpus(nodes: str, partition: str, gpus: int) -> int | None:
    """The usual number, or fewer where the partition's nodes with so many GPUs have fewer; None if it has no such node.

    `nodes` are lines of partition (`*` behind the default one), CPUs and generic resources.
    """
    rows = [line.split(maxsplit=2) for line in nodes.splitlines() if len(line.split(maxsplit=2)) == 3]
    each = [
        int(count) // there
        for name, count, gres in rows
        if name.rstrip("*") == partition and (there := gpus_in(gres)) >= gpus and count.isdigit()
    ]
    return max(1, min(CPUS_PER_GPU, *each)) if each else None
