"""Fill in what the person left open and the machine decides, before the config is frozen."""

from __future__ import annotations

from dataclasses import replace

from yoloscale.config.schema import ClusterConfig, Config, Device, OriginConfig, ShapesConfig
from yoloscale.config.schema.slurm import CPUS_PER_GPU, gpus_of, is_exclusive, lacks_cpus
from yoloscale.system.machine import Machine, this_machine

_CPU_RANKS = 2
_BF16, _FP32 = "bf16", "fp32"


def resolve(config: Config, machine: Machine | None = None) -> Config:
    """A copy with device, ranks per node, backend and CPU precision filled in; what was given stays.

    The device stays open, for `validate` to refuse, where a SLURM job has nodes for itself and names no GPUs: they may
    have some or none. `cluster.gpus` stays None if no GPUs were named: ranks then use those that are visible, which
    may differ between two starts of the same run. `cluster.threads` is likewise decided at each start.
    """
    machine = machine or this_machine()
    cluster = _resolve_cluster(config.cluster, machine)
    amp = config.amp
    if cluster.device is Device.cpu and amp is True:
        amp = _BF16 if machine.has_bf16 else _FP32  # what automatic mixed precision means on a CPU
    data = config.data
    if data.source == "shapes" and data.shapes is None:
        data = replace(data, shapes=ShapesConfig())
    return replace(config, cluster=cluster, amp=amp, data=data)


def adopt(config: Config, frozen: Config) -> Config:
    """A composed config that takes a run up: what it leaves open is as that run was frozen, on whatever machine.

    What it gives stays, so the two may still differ.
    """
    cluster = _adopt_cluster(config.cluster, frozen.cluster)
    is_open = config.amp is True and str(frozen.amp) in (_BF16, _FP32)  # what `true` was resolved to on a CPU
    # another place is looked at, and relative paths in its YAML are read from where that place is typed
    kept, mine = frozen.origin if config.data.source == frozen.data.source else OriginConfig(), config.origin
    looked_at = mine if mine.dataset else kept
    origin = replace(
        frozen.origin, folder=mine.folder or kept.folder, dataset=looked_at.dataset, opened=looked_at.opened
    )
    return replace(config, cluster=cluster, amp=frozen.amp if is_open else config.amp, origin=origin)


def _adopt_cluster(cluster: ClusterConfig, frozen: ClusterConfig) -> ClusterConfig:
    device, procs_per_node, gpus, backend = cluster.device, cluster.procs_per_node, cluster.gpus, cluster.backend
    if device is Device.auto and not gpus:
        device = frozen.device
    if procs_per_node is None:
        procs_per_node = len(gpus) if gpus else frozen.procs_per_node
    if device is frozen.device:
        backend = backend or frozen.backend
        if gpus is None and frozen.gpus and procs_per_node is not None and len(frozen.gpus) >= procs_per_node:
            gpus = frozen.gpus[:procs_per_node]
    return replace(
        cluster,
        device=device,
        procs_per_node=procs_per_node,
        gpus=gpus,
        backend=backend,
        planned_ranks=frozen.planned_ranks or frozen.nodes * (frozen.procs_per_node or 1),
    )


def _resolve_cluster(cluster: ClusterConfig, machine: Machine) -> ClusterConfig:
    gpu_count = machine.gpu_count if cluster.is_here else gpus_of(cluster) or 0
    device = cluster.device
    if device is Device.auto:
        is_open = not cluster.is_here and is_exclusive(cluster)
        device = Device.cuda if gpu_count > 0 or cluster.gpus else Device.auto if is_open else Device.cpu
    procs_per_node = cluster.procs_per_node
    if procs_per_node is None and cluster.gpus:
        procs_per_node = len(cluster.gpus)
    if procs_per_node is None:
        procs_per_node = max(gpu_count, 1) if device is Device.cuda else _CPU_RANKS
    backend = cluster.backend or ("nccl" if device is Device.cuda else "gloo")
    cpus = cluster.cpus_per_task
    if not cluster.is_here and device is Device.cuda and lacks_cpus(cluster):
        cpus = CPUS_PER_GPU * gpu_count
    return replace(cluster, device=device, procs_per_node=procs_per_node, backend=backend, cpus_per_task=cpus)


def starting_weights(config: Config) -> str | None:
    """The `.pt` that the run starts from, a released name or a path; None from scratch."""
    return config.pretrained if isinstance(config.pretrained, str) else config.model.weights
