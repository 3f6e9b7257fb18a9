from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yoloscale.backends.check import validate
from yoloscale.config.resolve import resolve
from yoloscale.config.schema import (
    CheckpointConfig,
    ClusterConfig,
    Config,
    DataConfig,
    Device,
    LoggerConfig,
    ModelConfig,
    ShapesConfig,
    Task,
    WandbConfig,
)
from yoloscale.system.machine import Machine

CPU = Machine(gpu_count=0, cpus=4, has_bf16=True)
GPUS = Machine(gpu_count=4, cpus=32, has_bf16=True)
MODEL = ModelConfig(task=Task.detect, architecture="yolo26n.yaml")


def problems(machine: Machine = CPU, **values: Any) -> dict[str, str]:
    config = resolve(Config(**{"model": MODEL, **values}), machine)
    return {problem.key: f"{problem.found} | {problem.instead}" for problem in validate(config, machine)}


def test_the_defaults_can_start() -> None:
    assert problems() == {}
    assert problems(GPUS) == {}


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("epochs", 0, 1),
        ("patience", -1, 0),
        ("imgsz", 16, 32),
        ("lr0", 1.5, 1.0),
        ("lr0", float("nan"), 0.0),
        ("mosaic", -0.1, 0.0),
        ("iou", 2.0, 0.7),
        ("conf", -1.0, None),
        ("box", -1.0, 100.0),
        ("degrees", 400.0, 180.0),
        ("time", 0.0, 0.5),
        ("workers", -1, 0),
        ("seed", -1, 0),
        ("nbs", 0, 1),
        ("optimizer", "sdg", "adamw"),
        ("cache", "disc", "disk"),
        ("amp", "fp8", "bf16"),
        ("compile", "fast", "reduce-overhead"),
        ("split", "valid", "test"),
        ("copy_paste_mode", "mix", "mixup"),
        ("auto_augment", "rand", None),
        ("classes", "person", [0, 2]),
        ("classes", [-1], 0),
        ("classes", [], None),
        ("classes", True, 3),
        ("freeze", -1, 10),
        ("freeze", 1.5, [0, "23.cv2"]),
        ("scale", 1.5, 1.0),
        ("scale", [1.5, 0.5], [0.5, 1.5]),
        ("scale", [0.5], 0),
        ("fraction", 0, 100),
        ("fraction", 1.5, [0.5, 100]),
        ("fraction", [0.5], 0.1),
        ("fraction", [0.5, 0, 0.5], [0.5, 0.5, 0]),
        ("fraction", [0.5, 0.5, -1], [1.0, 30, 0.5]),
        ("fraction", [7, 7, 7, 7], 7),
        ("name", "a/b", "a b"),
        ("name", "..", 'it\'s $(x) "é"'),
        ("name", "a\nb", "-".join("ab")),
        ("name", "-x", "x-"),
        ("name", " x", "x"),
        ("name", "x" * 201, "x" * 200),
        ("name", "", None),
        ("quantize", 8, None),
        ("distill_model", "yolo26x.pt", None),
        ("profile", True, False),
        ("batch", 15, 16),
        ("batch", -1, 2),
        ("batch", 0.7, 32),
        ("batch", 2.5, 4),
        ("batch", 0, 4),
    ],
)
def test_single_values(key: str, wrong: Any, right: Any) -> None:
    assert list(problems(**{key: wrong})) == [key]
    assert problems(**{key: right}) == {}


def cluster(**values: Any) -> dict[str, Any]:
    return {"cluster": ClusterConfig(**values)}


@pytest.mark.parametrize(
    ("machine", "values", "key", "hint"),
    [
        (CPU, cluster(procs_per_node=3), "batch", "batch=15 or batch=18"),
        (CPU, {"batch": 1}, "batch", "write batch=2"),
        (CPU, cluster(device=Device.cuda), "cluster.device", "device=cpu"),
        (CPU, cluster(gpus=[0]), "cluster.device", "no GPU"),
        (CPU, cluster(procs_per_node=0), "cluster.procs_per_node", "at least 1"),
        (CPU, cluster(nodes=0), "cluster.nodes", "at least 1"),
        (CPU, cluster(timeout_s=0.0), "cluster.timeout_s", "above 0"),
        (CPU, cluster(backend="nccl"), "cluster.backend", "gloo"),
        (CPU, cluster(backend="mpi"), "cluster.backend", "nccl, gloo"),
        (CPU, cluster(nodes=2), "cluster.rdzv_endpoint", "HOST:PORT"),
        (CPU, cluster(nodes=2, rdzv_endpoint="host"), "cluster.rdzv_endpoint", "HOST:PORT"),
        (CPU, cluster(rdzv_endpoint="host:1"), "cluster.rdzv_endpoint", "above 1"),
        (GPUS, cluster(procs_per_node=8), "cluster.procs_per_node", "cluster.procs_per_node=4"),
        (GPUS, cluster(gpus=[0, 4]), "cluster.gpus", "from 0 to 3"),
        (GPUS, cluster(gpus=[1, 1]), "cluster.gpus", "its own"),
        (GPUS, cluster(gpus=[0, 1], procs_per_node=4), "cluster.gpus", "cluster.procs_per_node=2"),
        (GPUS, cluster(gpus=[0], device=Device.cpu), "cluster.gpus", "leave it out"),
        (CPU, {"checkpoint": CheckpointConfig(keep=1)}, "checkpoint.keep", "at least 2"),
        (CPU, {"model": replace(MODEL, task=Task.segment)}, "model.task", "model=yolo26n-seg"),
        (CPU, {"model": ModelConfig(task=Task.detect, weights="yolo11m-cls.pt")}, "model.task", "model=yolo11m"),
        (CPU, {"model": ModelConfig()}, "model", "model=yolo26n"),
        (CPU, {"model": ModelConfig(architecture="mine.yaml")}, "model.task", "detect"),
        (CPU, {"model": ModelConfig(weights="x.pt"), "pretrained": "y.pt"}, "pretrained", "one of them"),
        (CPU, {"model": ModelConfig(weights="x.pt"), "pretrained": False}, "pretrained", "architecture.yaml"),
        (CPU, {"batch": float("nan")}, "batch", "whole number"),
        (CPU, {"batch": float("inf")}, "batch", "whole number"),
        (CPU, {"data": DataConfig(source="coco8.yaml", shapes=ShapesConfig())}, "data.shapes", "data=shapes"),
        (CPU, {"data": DataConfig(shapes=ShapesConfig(train_images=0))}, "data.shapes.train_images", "at least 1"),
        (CPU, {"data": DataConfig(shapes=ShapesConfig(image_size=63))}, "data.shapes.image_size", "at least 64"),
        (CPU, {"logger": LoggerConfig(wandb=WandbConfig(project="a/b"))}, "logger.wandb.project", "without"),
        (CPU, {"logger": LoggerConfig(wandb=WandbConfig(entity="a/b"))}, "logger.wandb.entity", "project"),
    ],
)
def test_values_that_do_not_fit_together(machine: Machine, values: dict[str, Any], key: str, hint: str) -> None:
    found = problems(machine, **values)
    assert list(found) == [key]
    assert hint in found[key]


@pytest.mark.parametrize(
    ("machine", "values"),
    [
        (CPU, cluster(nodes=2, rdzv_endpoint="first-host:29500")),
        (CPU, cluster(nodes=2, rdzv_endpoint="[fe80::1]:29500")),
        (GPUS, cluster(gpus=[3, 1])),
        (GPUS, {"batch": -1}),
        (GPUS, {"batch": 0.7}),
        (CPU, {"model": ModelConfig(weights="my-seg/yolo26n-seg.pt", task=Task.detect)}),
        (CPU, {"model": ModelConfig(weights="yolo26n-objv1-150.pt", task=Task.detect)}),
        (CPU, {"model": ModelConfig(architecture="rtdetr-l.yaml", task=Task.detect)}),
        (CPU, {"model": ModelConfig(architecture="yolo26n.yaml", task=Task.detect), "pretrained": "y.pt"}),
    ],
)
def test_what_fits(machine: Machine, values: dict[str, Any]) -> None:
    assert problems(machine, **values) == {}


def test_all_problems_are_told_at_once() -> None:
    found = problems(epochs=0, optimizer="x", batch=15, name="a/b", cluster=ClusterConfig(nodes=2), quantize=8)
    assert set(found) == {"epochs", "optimizer", "batch", "name", "cluster.rdzv_endpoint", "quantize"}


def test_only_batches_that_divide_are_taken() -> None:
    for batch in range(1, 40):
        found = problems(batch=batch, **cluster(procs_per_node=7))
        assert (found == {}) == (batch % 7 == 0)


@pytest.mark.parametrize(("ranks", "machine", "is_refused"), [(2, CPU, True), (1, CPU, False), (2, GPUS, False)])
def test_batch_norms_over_ranks_are_for_gpus(ranks: int, machine: Machine, is_refused: bool) -> None:
    found = problems(machine, cluster=ClusterConfig(sync_bn=True, procs_per_node=ranks))
    assert ("cluster.sync_bn" in found) is is_refused
