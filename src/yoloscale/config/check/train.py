"""Everything that can be wrong with a config without opening a file, found at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from yoloscale.config.check import callbacks, families, ranges
from yoloscale.config.check.gpus import number_problems
from yoloscale.config.check.logger import missing_packages
from yoloscale.config.check.ranks_environment import other_environment
from yoloscale.config.compose.catalog import task_of_name
from yoloscale.config.compose.refusals import UNSUPPORTED, unsupported
from yoloscale.config.plan import is_automatic, plan, planned_batch, planned_ranks, world_size
from yoloscale.config.resolve import starting_weights
from yoloscale.config.schema import ClusterConfig, Config, Device, LoggerConfig, Task
from yoloscale.config.schema.arguments import TrainArguments
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.durations import GRAMMAR, limit_s
from yoloscale.system.formatting import counted
from yoloscale.system.machine import Machine, this_machine

NAME_BYTES = 200  # below the 255 that file systems take, with room for a suffix
_SUFFIXES = "|".join(task.row.suffix for task in Task if task.row.suffix)
_RELEASED = re.compile(rf"(yolo(v\d+|\d+)[a-z]?|rtdetr-\w+)({_SUFFIXES})?", re.IGNORECASE)


def validate(
    config: Config,
    machine: Machine | None,
    of_cluster: Callable[[ClusterConfig], list[Problem]],
    of_logger: Callable[[LoggerConfig], list[Problem]],
) -> list[Problem]:
    """Problems of a resolved config on a machine (None: this one), whoever starts its nodes; see backends/check.py.

    `of_cluster` are those of who starts the nodes, `of_logger` those of the loggers' own files and variables.
    """
    machine = machine or this_machine()
    problems, defaults = ranges.check(config), TrainArguments()
    for key in UNSUPPORTED:
        value = getattr(config, key)
        if reason := unsupported(key, value, getattr(defaults, key)):
            problems.append(Problem(key, repr(value), reason))
    problems += _name(config.name)
    problems += [*_model_and_data(config), *callbacks.parse(config.callbacks)[1]]
    problems += [*_cluster(config.cluster, of_cluster), *_gpus(config.cluster, machine), *_batch(config)]
    if other_environment(config.cluster) is None:  # else the launcher says it, and the ranks look
        problems += missing_packages(config.logger)
    return [*problems, *of_logger(config.logger)]


def _name(name: str | None) -> list[Problem]:
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


def _model_and_data(config: Config) -> list[Problem]:
    model, problems = config.model, list[Problem]()
    if model.weights is None and model.architecture is None:
        instead = "write model=yolo26n or model=path/to/file"
        problems.append(Problem("model", "neither weights nor architecture", instead))
    elif model.task is None and starting_weights(config) is None:
        found = f"not told by {model.architecture}"
        problems.append(Problem("model.task", found, f"write task=, one of {', '.join(Task.__members__)}"))
    if isinstance(config.pretrained, str) and model.architecture is None:
        instead = "write one of them; pretrained= needs an architecture: model=yolo26n.yaml"
        problems.append(Problem("pretrained", f"{config.pretrained!r} beside model={model.weights}", instead))
    if config.pretrained is False and model.weights is not None and model.architecture is None:
        found = f"False beside model={model.weights}, which has no architecture file"
        problems.append(Problem("pretrained", found, "write model=path/to/architecture.yaml, or leave pretrained out"))
    source = model.weights or model.architecture or ""
    if problem := families.of_name(source):
        problems.append(problem)
    stem = Path(source).stem
    own = task_of_name(stem) or Task.detect
    if Path(source).name == source and _RELEASED.fullmatch(stem) and model.task not in (None, own):
        assert model.task is not None
        alike = stem.removesuffix(own.row.suffix) + model.task.row.suffix
        found = f"{model.task.value!r}, but {stem} is a model for {own.value}"
        problems.append(Problem("model.task", found, f"write model={alike}"))
    if config.data.shapes is not None and config.data.source != "shapes":
        found = f"options of the rendered dataset beside data.source={config.data.source}"
        problems.append(Problem("data.shapes", found, "leave them out, or write data=shapes"))
    return problems


def _cluster(cluster: ClusterConfig, of_cluster: Callable[[ClusterConfig], list[Problem]]) -> list[Problem]:
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


def _gpus(cluster: ClusterConfig, machine: Machine) -> list[Problem]:
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


def _batch(config: Config) -> list[Problem]:
    batch, ranks = config.batch, world_size(config)
    if ranks < 1:
        return []  # told as a problem of the cluster
    if is_automatic(batch):
        if config.cluster.device is Device.cpu:
            found = f"{batch} (sized by GPU memory) on the CPU"
            return [Problem("batch", found, f"write a number of images, like batch={max(16, ranks)}")]
        return []
    if not 1 <= batch < float("inf") or batch != int(batch):  # nan neither
        instead = "write a whole number of images, -1, or a share of GPU memory below 1"
        return [Problem("batch", f"{batch}", instead)]
    planned, batch = planned_ranks(config), planned_batch(config)
    if batch % planned:
        lower, upper = int(batch // planned * planned), int(-(-batch // planned) * planned)
        near = " or ".join(f"batch={near}" for near in (lower, upper) if near > 0)
        return [Problem("batch", f"{int(batch)} images do not divide over {planned} ranks", f"write {near}")]
    try:
        plan(config)
    except ConfigError as error:
        return list(error.problems)
    return _fewer_nodes(config)


def _fewer_nodes(config: Config) -> list[Problem]:
    """Every number of nodes that the run may be left with must be able to train its optimiser steps."""
    cluster = config.cluster
    each, fewest = cluster.procs_per_node or 1, min(cluster.min_nodes or cluster.nodes, cluster.nodes)
    for nodes in range(cluster.nodes - 1, fewest - 1, -1):
        try:
            plan(config, ranks=nodes * each)
        except ConfigError as error:
            found = f"{fewest}, but with {nodes} of {cluster.nodes} nodes {error.problems[0].found}"
            instead = f"write cluster.min_nodes={nodes + 1}, or a batch that divides over each number of nodes"
            return [Problem("cluster.min_nodes", found, instead)]
    return []
