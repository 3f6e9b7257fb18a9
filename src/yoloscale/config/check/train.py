"""Everything that can be wrong with a config without opening a file, found at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from yoloscale.config.check import callbacks, families, ranges
from yoloscale.config.check.logger import missing_packages
from yoloscale.config.check.placement import array_problems, cluster_problems, gpu_problems, name_problems
from yoloscale.config.check.ranks_environment import other_environment
from yoloscale.config.compose.catalog import task_of_name
from yoloscale.config.compose.refusals import UNSUPPORTED, unsupported
from yoloscale.config.plan import is_automatic, plan, planned_batch, planned_ranks, world_size
from yoloscale.config.resolve import starting_weights
from yoloscale.config.schema import ClusterConfig, Config, Device, LoggerConfig, ModelConfig, Task
from yoloscale.config.schema.arguments import TrainArguments
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.machine import Machine, this_machine

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
    problems += name_problems(config.name)
    problems += [*_model_and_data(config), *callbacks.parse(config.callbacks)[1]]
    problems += [*cluster_problems(config.cluster, of_cluster), *gpu_problems(config.cluster, machine), *_batch(config)]
    problems += array_problems(config)
    if other_environment(config.cluster) is None:  # else the launcher says it, and the ranks look
        problems += missing_packages(config.logger)
    return [*problems, *of_logger(config.logger)]


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
    problems += released_problems(model)
    if config.data.shapes is not None and config.data.source != "shapes":
        found = f"options of the rendered dataset beside data.source={config.data.source}"
        problems.append(Problem("data.shapes", found, "leave them out, or write data=shapes"))
    return problems


def released_problems(model: ModelConfig) -> list[Problem]:
    """Of a released name: one of a family that is not known here, or for another task than asked."""
    source, problems = model.weights or model.architecture or "", list[Problem]()
    if problem := families.of_name(source):
        problems.append(problem)
    stem = Path(source).stem
    own = task_of_name(stem) or Task.detect
    if Path(source).name == source and _RELEASED.fullmatch(stem) and model.task not in (None, own):
        assert model.task is not None
        alike = stem.removesuffix(own.row.suffix) + model.task.row.suffix
        found = f"{model.task.value!r}, but {stem} is a model for {own.value}"
        problems.append(Problem("model.task", found, f"write model={alike}"))
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
