"""What can be wrong with where a run of any kind computes and lies: its name, its nodes and ranks, its devices."""

from __future__ import annotations

import re
from collections.abc import Callable

from yoloscale.config.check.gpus import number_problems
from yoloscale.config.schema import ClusterConfig, Device, PredictConfig, RunConfig
from yoloscale.errors import Problem
from yoloscale.system.durations import GRAMMAR, limit_s
from yoloscale.system.formatting import counted
from yoloscale.system.machine import Machine

NAME_BYTES = 200  # below the 255 that file systems take, with room for a suffix


def name_problems(name: str | None) -> list[Problem]:
    """A run's name is one folder name, shown in one line of a table. Spaces, quotes and `$(…)` are fine."""
    if name is None:
        return []
    if not name or name in (".", ".."):
        return [Problem("name", repr(name), "write a name")]
    if "/" in name:
        return [Problem("name", repr(name), "write paths.runs=FOLDER name=NAME; a name is one folder")]
    if name != name.strip() or name.startswith("-") or not name.isprintable():
        instead = "write a name without line breaks, without spaces at its ends, not starting with `-`"
        return [Problem("name", repr(name), instead)]
    if len(name.encode()) > NAME_BYTES:
        return [Problem("name", f"{len(name.encode())} bytes", f"write a name of at most {NAME_BYTES} bytes")]
    return []


def cluster_problems(cluster: ClusterConfig, of_cluster: Callable[[ClusterConfig], list[Problem]]) -> list[Problem]:
    """Of the topology; `of_cluster` are those of who starts the nodes."""
    problems = []
    if cluster.backend == "nccl" and cluster.device is Device.cpu:
        problems.append(Problem("cluster.backend", "'nccl' on CPUs", "write cluster.backend=gloo, or leave it out"))
    if cluster.sync_bn and cluster.device is Device.cpu and cluster.nodes * (cluster.procs_per_node or 1) > 1:
        instead = "leave it out; torch has batch norms over several ranks on GPUs only"
        problems.append(Problem("cluster.sync_bn", "true on CPUs", instead))
    if cluster.nodes == 1 and cluster.rdzv_endpoint is not None and cluster.is_here:
        instead = "leave it out; it is for cluster.nodes above 1"
        problems.append(Problem("cluster.rdzv_endpoint", f"{cluster.rdzv_endpoint!r} with one node", instead))
    problems += of_cluster(cluster)
    needs_endpoint = cluster.nodes > 1 and cluster.is_here
    if needs_endpoint and not re.fullmatch(r"(\[[^\]\s]+\]|[^:\s]+):\d{1,5}", cluster.rdzv_endpoint or ""):
        found = f"{cluster.rdzv_endpoint!r} with {cluster.nodes} nodes" if cluster.rdzv_endpoint else "not given"
        instead = "write cluster.rdzv_endpoint=HOST:PORT, an address of the first node that all others reach"
        problems.append(Problem("cluster.rdzv_endpoint", found, instead))
    if cluster.min_nodes is not None and cluster.min_nodes > cluster.nodes:
        instead = f"write cluster.min_nodes={cluster.nodes} or fewer, or leave it out: then all nodes are needed"
        problems.append(Problem("cluster.min_nodes", f"{cluster.min_nodes} of {cluster.nodes} nodes", instead))
    try:
        _ = None if cluster.time is None else limit_s(cluster.time)
    except ValueError:
        problems.append(Problem("cluster.time", repr(cluster.time), f"write a limit above 0 as {GRAMMAR}"))
    return problems


def array_problems(config: RunConfig) -> list[Problem]:
    """Of an array for one run: its elements meet nowhere, so only ranks that need not meet are theirs."""
    size, nodes = config.cluster.array_size, config.cluster.nodes
    if size is None:
        return []
    if not isinstance(config, PredictConfig):
        instead = "leave it out: ranks that train or evaluate together need one job, with cluster.nodes=N"
        return [Problem("cluster.array_size", f"{size} in a run of `yoloscale {config.kind}`", instead)]
    if nodes > 1:
        instead = "write cluster.nodes=1: each element has one node, and its ranks take what is left to do"
        return [Problem("cluster.array_size", f"{size} beside cluster.nodes={nodes}", instead)]
    return []


def gpu_problems(cluster: ClusterConfig, machine: Machine) -> list[Problem]:
    """Of the GPUs of this machine, where the ranks run here."""
    gpus, ranks = cluster.gpus, cluster.procs_per_node
    if not cluster.is_here:
        return []  # other machines than this one
    if cluster.device is Device.cpu:
        return [Problem("cluster.gpus", f"{gpus} on the CPU", "leave it out, or write device=0,1")] if gpus else []
    if machine.gpu_count == 0:
        instead = "write device=cpu; `nvidia-smi` and torch.cuda.is_available() tell what is there"
        return [Problem("cluster.device", "'cuda', but no GPU is visible here", instead)]
    problems = []
    if machine.shares_gpu and ranks is not None and ranks > 1 and cluster.backend == "nccl":
        found = f"'nccl' for {ranks} ranks, where several are instances (MIG) of one GPU: NCCL refuses these"
        instead = "write cluster.procs_per_node=1, or cluster.backend=gloo: its gradients go through the host's memory"
        problems.append(Problem("cluster.backend", found, instead))
    if gpus is not None:
        problems += number_problems(gpus, machine.gpu_count)
    if gpus is not None and ranks is not None and len(gpus) != ranks:
        instead = f"write cluster.procs_per_node={len(gpus)}, or name {ranks} GPUs"
        problems.append(Problem("cluster.gpus", f"{len(gpus)} GPUs for {ranks} ranks", instead))
    if gpus is None and ranks is not None and ranks > machine.gpu_count:
        instead = f"write cluster.procs_per_node={machine.gpu_count}; each rank has a GPU of its own"
        found = f"{ranks} ranks; {counted(machine.gpu_count, 'GPU')} visible here"
        problems.append(Problem("cluster.procs_per_node", found, instead))
    return problems
