"""Everything that can be wrong with a prediction without opening a file, found at once."""

from __future__ import annotations

import re
from collections.abc import Callable

from yoloscale.config.addresses import NO_SECRETS, secret_in, without_secrets
from yoloscale.config.check.inference import refused, shared_problems
from yoloscale.config.schema import ClusterConfig, Device, LoggerConfig, PredictConfig, Task, View
from yoloscale.errors import Problem
from yoloscale.system.machine import Machine

_ONLY = {
    "show": (False, "write predict.save=[pictures]: ranks open no windows"),
    "visualize": (False, "leave it out, and use `yolo predict` for a few images: it draws the layers of each"),
    "stream_buffer": (False, "leave it out: it is for cameras, which are not read here"),
}
_STREAM = re.compile(r"\d+|screen(?: .*)?|(?:rtsp|rtmp|tcp)://.*|.*\.streams", re.IGNORECASE)
_VIDEO_SITE = re.compile(r"https?://(?:www\.)?(?:youtube\.com|youtu\.be)/", re.IGNORECASE)
_BOXES = frozenset(task for task in Task if task.finds_objects)
_TASKS_OF_VIEW: dict[View, frozenset[Task]] = {
    View.coco: _BOXES,
    View.txt: _BOXES | {Task.classify},
    View.pictures: frozenset(Task),
    View.crops: _BOXES,
}


def validate(
    config: PredictConfig,
    machine: Machine | None,
    of_cluster: Callable[[ClusterConfig], list[Problem]],
    of_logger: Callable[[LoggerConfig], list[Problem]],
) -> list[Problem]:
    """Problems of a resolved config; called as `check.train.validate` is."""
    problems = [*shared_problems(config, machine, of_cluster), *refused(config, _ONLY)]
    for source in config.source:
        problems += _source(source)
    return [*problems, *_exact(config), *_embedding(config), *task_problems(config)]


def task_problems(config: PredictConfig) -> list[Problem]:
    """Problems by the task of the weights; asked again once they are looked into, if nothing told it before."""
    return [*_views(config), *_slices(config)]


def _source(source: str) -> list[Problem]:
    if _STREAM.fullmatch(source):
        instead = "write files or addresses of images and videos; `yolo predict` reads cameras and streams"
        return [Problem("source", f"{source!r} never ends", instead)]
    if _VIDEO_SITE.match(source):
        return [Problem("source", f"{source!r} is a page and no video", "fetch the video, and write its path")]
    if "://" in source and (secret := secret_in(source)) is not None:
        found = f"{without_secrets(source)} with {secret}, which would stand in config.yaml"
        return [Problem("source", found, NO_SECRETS)]
    return []


def _exact(config: PredictConfig) -> list[Problem]:
    """Of bits that only torch's own fp32 kernels on a CPU have."""
    if not config.predict.exact:
        return []
    if config.cluster.device is Device.cuda:
        instead = "leave it out, or write device=cpu: on GPUs there are no other kernels to choose"
        return [Problem("predict.exact", "true on GPUs", instead)]
    if config.quantize == 16:
        instead = "leave one of them out: on a CPU, YOLO(weights).predict computes in fp32"
        return [Problem("predict.exact", "true beside quantize=16", instead)]
    return []


def _views(config: PredictConfig) -> list[Problem]:
    """Of views that the rows of a task do not make up; what the weights are for may not be known yet."""
    task = config.model.task
    if task is None:
        return []
    tasks = {view: _TASKS_OF_VIEW[view] for view in config.predict.save if task not in _TASKS_OF_VIEW[view]}
    has = [view.value for view in View if task in _TASKS_OF_VIEW[view]]
    instead = f"leave it out; with task={task.value} there {'are' if len(has) > 1 else 'is'} {', '.join(has)}"
    return [Problem("predict.save", f"{view.value} in task={task.value}", instead) for view in tasks]


def _embedding(config: PredictConfig) -> list[Problem]:
    layers = config.embed if isinstance(config.embed, list) else [config.embed]
    if config.embed is None:
        return []
    if not layers or not all(isinstance(layer, int) and not isinstance(layer, bool) for layer in layers):
        return [Problem("embed", f"{config.embed!r}", "write numbers of layers, like embed=10 or embed=10,16")]
    beside = {"predict.save": config.predict.save, "predict.slice": config.predict.slice, "augment": config.augment}
    instead = "leave one of them out: with embed= there is a vector for each image, and no objects"
    return [Problem("embed", f"{config.embed} beside {key}", instead) for key, value in beside.items() if value]


def _slices(config: PredictConfig) -> list[Problem]:
    if config.predict.slice is None:
        return []
    task = config.model.task
    if task is not None and not task.finds_objects:
        found = f"{config.predict.slice} in task={task.value}, which has no boxes to put together"
        return [Problem("predict.slice", found, "leave it out")]
    if config.augment:
        found = f"{config.predict.slice} beside augment=true"
        return [Problem("predict.slice", found, "leave one of them out: both look at an image several times")]
    return []
