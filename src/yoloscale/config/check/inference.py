"""What can be wrong with a prediction and with an evaluation alike: both make use of finished weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import reduce
from typing import Any

from yoloscale.config.check import ranges
from yoloscale.config.check.placement import array_problems, cluster_problems, gpu_problems, name_problems
from yoloscale.config.check.train import released_problems
from yoloscale.config.compose.choices import is_exported
from yoloscale.config.quoting import as_typed
from yoloscale.config.schema import ClusterConfig, Device, PredictConfig, RunConfig, Task, ValConfig, View
from yoloscale.errors import Problem
from yoloscale.system.machine import Machine, this_machine

_SET_BY_GROUPS = ("cache",)  # data=shapes has it in memory
_DNN = "leave it out: .onnx files are run by ONNX Runtime"
_COMPILED = "leave it out: compiled code differs in its last bits from one machine to the next"


def shared_problems(
    config: PredictConfig | ValConfig,
    machine: Machine | None,
    of_cluster: Callable[[ClusterConfig], list[Problem]],
) -> list[Problem]:
    """Problems of what both kinds have; called as the rules of a kind are, without loggers."""
    problems = [*ranges.check(config), *name_problems(config.name)]
    problems += refused(config, {"dnn": (False, _DNN), "compile": (False, _COMPILED)})
    problems += [*_quantize(config), *_batch(config), *released_problems(config.model)]
    problems += [
        *cluster_problems(config.cluster, of_cluster),
        *array_problems(config),
        *gpu_problems(config.cluster, machine or this_machine()),
    ]
    return [*problems, *_of_artefacts(config), *_of_training(config)]


def remarks(config: PredictConfig | ValConfig, typed: Collection[str] = ()) -> list[str]:
    """A line for each argument that somebody has set and that changes nothing beside the others.

    `typed`: keys that count as set at their default value, too.
    """
    blank, lines = type(config)(), list[str]()
    for key, (is_inert, why) in _inert(config).items():
        value = _at(config, key)
        is_set = key in typed or (key not in _SET_BY_GROUPS and value != _at(blank, key))
        if is_inert and is_set:
            lines.append(f"{key}={as_typed(value)}: no effect {why}")
    return lines


def _inert(config: PredictConfig | ValConfig) -> dict[str, tuple[bool, str]]:
    """Whether an argument changes nothing, and why, by its key."""
    task = config.model.task
    is_without_nms = config.nms is False and task is not None and task.finds_objects
    inert = {"agnostic_nms": (is_without_nms, "with nms=false"), "iou": (is_without_nms, "with nms=false")}
    is_on_cpu = config.cluster.device is Device.cpu
    if isinstance(config, ValConfig):
        return {
            **inert,
            "save_conf": (not config.save_txt, "without save_txt; add save_txt=true"),
            "cache": (True, "in an evaluation, which reads each image once"),
            "workers": (is_on_cpu, "on CPUs, where each rank loads its images itself"),
            "quantize": (is_on_cpu and not _is_exported(config), "on CPUs, where a .pt is evaluated in fp32"),
        }
    views, no_pictures = config.predict.save, "without pictures; add predict.save=[pictures]"
    drawn = ("show_labels", "show_conf", "show_boxes", "line_width")
    return {
        **inert,
        "batch": (is_on_cpu, "on CPUs, where images are taken one by one"),
        "retina_masks": (task not in (None, Task.segment), "but in task=segment"),
        "predict.slice_overlap": (config.predict.slice is None, "without slices; add predict.slice=PIXELS"),
        "save_conf": (View.txt not in views, "without labels; add predict.save=[txt]"),
        **dict.fromkeys(drawn, (View.pictures not in views, no_pictures)),
    }


def _at(config: object, key: str) -> Any:
    return reduce(getattr, key.split("."), config)


def refused(config: RunConfig, only: Mapping[str, tuple[object, str]]) -> list[Problem]:
    """Problems of arguments that are taken at one value only: that, and what to write instead, by name."""
    values = [(key, getattr(config, key), value, instead) for key, (value, instead) in only.items()]
    return [Problem(key, as_typed(value), instead) for key, value, default, instead in values if value != default]


def _quantize(config: PredictConfig | ValConfig) -> list[Problem]:
    if config.quantize in (None, 16):
        return []
    instead = "write quantize=16 or leave it out; of an exported model its file says it: model=path/to/artefact"
    return [Problem("quantize", as_typed(config.quantize), instead)]


def _batch(config: PredictConfig | ValConfig) -> list[Problem]:
    if config.batch >= 1:
        return []
    return [Problem("batch", f"{config.batch}", "write a whole number of images from 1")]


def _is_exported(config: PredictConfig | ValConfig) -> bool:
    return config.model.weights is not None and is_exported(config.model.weights)


def _of_artefacts(config: PredictConfig | ValConfig) -> list[Problem]:
    """What an exported model cannot do, and Ultralytics takes no notice of."""
    asked = ["augment"] if config.augment else []
    asked += ["channels_last"] if getattr(config, "channels_last", None) is not None else []
    if not _is_exported(config):
        return []
    instead = "leave it out, or use a .pt"
    found = f"but {config.model.weights} is an exported artefact"
    return [Problem(key, f"{as_typed(getattr(config, key))}, {found}", instead) for key in asked]


def _of_training(config: RunConfig) -> list[Problem]:
    """Settings of groups that all kinds have, and that do something in training only."""
    what = f"leave it out: it is of training, and {config.kind} has"
    logger, cluster = config.logger, config.cluster
    there_are_none = "write logger=none, or leave it out: result.json and metrics.jsonl are written, nothing else"
    on = {
        "logger.tensorboard": (logger.tensorboard, there_are_none),
        "logger.wandb": (logger.wandb is not None, there_are_none),
        "logger.mlflow": (logger.mlflow is not None, there_are_none),
        "debug.trace": (config.debug.trace, f"{what} no optimiser steps"),
        "paths.code": (config.paths.code is not None, f"{what} no callbacks"),
        "cluster.exact_reduce": (cluster.exact_reduce, f"{what} no gradients"),
        "cluster.sync_bn": (cluster.sync_bn, f"{what} no batch statistics"),
    }
    return [Problem(key, "switched on", instead) for key, (is_on, instead) in on.items() if is_on]
