from __future__ import annotations

from typing import Any

import pytest

from yoloscale.config.resolve import adopt, resolve, starting_weights, with_checkpoint
from yoloscale.config.schema import (
    ClusterConfig,
    Config,
    DataConfig,
    Device,
    InferenceOrigin,
    ModelConfig,
    PredictConfig,
    PredictSection,
    ShapesConfig,
    Task,
    ValConfig,
    View,
)
from yoloscale.system.machine import Machine

CPU = Machine(gpu_count=0, cpus=4, has_bf16=True)
OLD_CPU = Machine(gpu_count=0, cpus=4, has_bf16=False)
GPUS = Machine(gpu_count=4, cpus=32, has_bf16=True)


def topology(config: Config) -> tuple[Device, int | None, str | None, list[int] | None]:
    cluster = config.cluster
    return cluster.device, cluster.procs_per_node, cluster.backend, cluster.gpus


@pytest.mark.parametrize(
    ("given", "machine", "expected"),
    [
        (ClusterConfig(), CPU, (Device.cpu, 2, "gloo", None)),
        (ClusterConfig(), GPUS, (Device.cuda, 4, "nccl", None)),
        (ClusterConfig(device=Device.cpu), GPUS, (Device.cpu, 2, "gloo", None)),
        (ClusterConfig(procs_per_node=3), GPUS, (Device.cuda, 3, "nccl", None)),
        (ClusterConfig(gpus=[2, 3]), GPUS, (Device.cuda, 2, "nccl", [2, 3])),
        (ClusterConfig(device=Device.cuda), CPU, (Device.cuda, 1, "nccl", None)),
        (ClusterConfig(backend="gloo"), GPUS, (Device.cuda, 4, "gloo", None)),
    ],
)
def test_topology(given: ClusterConfig, machine: Machine, expected: tuple[object, ...]) -> None:
    assert topology(resolve(Config(cluster=given), machine)) == expected


@pytest.mark.parametrize(
    ("amp", "machine", "expected"),
    [(True, CPU, "bf16"), (True, OLD_CPU, "fp32"), (True, GPUS, True), (False, CPU, False), ("fp32", CPU, "fp32")],
)
def test_mixed_precision_on_a_cpu_is_what_the_cpu_has(amp: bool | str, machine: Machine, expected: bool | str) -> None:
    assert resolve(Config(amp=amp), machine).amp == expected


def test_resolving_twice_changes_nothing_and_the_given_config_stays() -> None:
    given = Config(data=DataConfig(source="shapes"))
    once = resolve(given, CPU)
    assert given == Config(data=DataConfig(source="shapes"))
    assert once.data.shapes == ShapesConfig()
    assert resolve(once, GPUS) == once


def test_starting_weights() -> None:
    model = ModelConfig(weights="yolo26n.pt", architecture="yolo26n.yaml")
    assert starting_weights(Config(model=model)) == "yolo26n.pt"
    assert starting_weights(Config(model=model, pretrained="x.pt")) == "x.pt"
    assert starting_weights(Config(model=ModelConfig(architecture="yolo26n.yaml"))) is None


@pytest.mark.parametrize(
    ("given", "cpus"),
    [
        ({"gpus_per_node": "8"}, 64),
        ({"gpus_per_node": "a100:2"}, 16),
        ({"sbatch": {"gres": "gpu:4(S:0,1),nvme"}}, 32),
        ({"gpus_per_node": "8", "cpus_per_task": 4}, 4),
        ({"gpus_per_node": "8", "exclusive": "true"}, None),
        ({"gpus_per_node": "8", "sbatch": {"cpus_per_gpu": 12}}, None),
        ({"device": Device.cpu}, None),
    ],
)
def test_gpus_come_with_cpus(given: dict[str, Any], cpus: int | None) -> None:
    """A site's default is one CPU for each task, and there is one task on each node."""
    cluster = ClusterConfig(launcher="slurm", **given)
    assert resolve(Config(cluster=cluster), CPU).cluster.cpus_per_task == cpus


def test_nodes_for_oneself_without_gpus_by_name_are_not_taken_for_cpus() -> None:
    cluster = ClusterConfig(launcher="slurm", exclusive="true")
    assert resolve(Config(cluster=cluster), CPU).cluster.device is Device.auto


@pytest.mark.parametrize(
    ("given", "machine", "expected"),
    [
        (ClusterConfig(), CPU, (Device.cpu, 4, 1)),
        (ClusterConfig(procs_per_node=3), CPU, (Device.cpu, 3, 1)),
        (ClusterConfig(threads=2), CPU, (Device.cpu, 2, 2)),
        (ClusterConfig(threads=8), CPU, (Device.cpu, 1, 8)),
        (ClusterConfig(), GPUS, (Device.cuda, 4, None)),
        (ClusterConfig(gpus=[1]), GPUS, (Device.cuda, 1, None)),
        (ClusterConfig(launcher="slurm", device=Device.cpu), CPU, (Device.cpu, 2, 1)),
        (ClusterConfig(launcher="slurm", device=Device.cpu, cpus_per_task=16), CPU, (Device.cpu, 16, 1)),
        (
            ClusterConfig(launcher="slurm", device=Device.cpu, cpus_per_task=16, procs_per_node=4),
            CPU,
            (Device.cpu, 4, 1),
        ),
    ],
)
@pytest.mark.parametrize("schema", [PredictConfig, ValConfig])
def test_on_cpus_what_makes_use_of_weights_has_a_rank_of_one_thread_for_each(
    schema: type[PredictConfig] | type[ValConfig], given: ClusterConfig, machine: Machine, expected: tuple[object, ...]
) -> None:
    """The last bits of a result depend on the threads that it was computed by."""
    config = resolve(schema(cluster=given), machine)
    cluster = config.cluster
    assert (cluster.device, cluster.procs_per_node, cluster.threads) == expected
    assert resolve(config, GPUS) == config


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PredictConfig(), 0.25),
        (PredictConfig(conf=0.0), 0.0),
        (PredictConfig(model=ModelConfig(task=Task.obb)), 0.25),
        (ValConfig(), None),
        (ValConfig(model=ModelConfig(task=Task.detect)), 0.001),
        (ValConfig(model=ModelConfig(task=Task.obb)), 0.01),
        (ValConfig(model=ModelConfig(task=Task.obb), conf=0.5), 0.5),
    ],
)
def test_the_threshold_is_that_of_ultralytics_for_the_verb(
    given: PredictConfig | ValConfig, expected: float | None
) -> None:
    assert resolve(given, CPU).conf == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, None), (16, 16), ("fp16", 16), ("w16a16", 16), (32, None), ("FP32", None), ("int8", 8), ("w8a16", "w8a16")],
)
def test_precisions_have_one_spelling(given: int | str | None, expected: int | str | None) -> None:
    assert resolve(PredictConfig(quantize=given), CPU).quantize == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PredictConfig(), []),
        (PredictConfig(save=True), [View.pictures]),
        (PredictConfig(save_frames=True), [View.pictures]),
        (PredictConfig(save_txt=True, save_crop=True, save_json=True), [View.coco, View.txt, View.crops]),
        (PredictConfig(save_txt=True, predict=PredictSection(save=[View.crops, View.txt])), [View.txt, View.crops]),
    ],
)
def test_the_switches_of_ultralytics_are_views(given: PredictConfig, expected: list[View]) -> None:
    assert resolve(given, CPU).predict.save == expected


@pytest.mark.parametrize(
    ("given", "arguments", "expected"),
    [
        (PredictConfig(), {"imgsz": 320}, 320),
        (PredictConfig(imgsz=640), {"imgsz": 320}, 640),
        (PredictConfig(), {}, 224),
        (PredictConfig(), {"imgsz": [480, 640]}, [480, 640]),
        (PredictConfig(), {"imgsz": [320, 320]}, 320),
        (ValConfig(), {"imgsz": [480, 640]}, 640),
        (ValConfig(), {"imgsz": 96}, 96),
        (ValConfig(), {}, 224),
    ],
)
def test_the_size_is_that_of_the_checkpoint_unless_it_is_typed(
    given: Any, arguments: dict[str, Any], expected: int | list[int]
) -> None:
    config = with_checkpoint(resolve(given, CPU), Task.classify, arguments)
    assert (config.imgsz, config.model.task) == (expected, Task.classify)


def test_an_evaluation_is_as_its_checkpoint_was_trained() -> None:
    of_one = with_checkpoint(resolve(ValConfig(), CPU), Task.obb, {"single_cls": True})
    assert (of_one.single_cls, of_one.conf) == (True, 0.01)
    assert with_checkpoint(ValConfig(single_cls=False), Task.detect, {"single_cls": True}).single_cls is False
    assert with_checkpoint(ValConfig(), Task.detect, {}).single_cls is False


def test_a_run_that_is_taken_up_has_what_its_checkpoint_decided() -> None:
    """Also on a machine that has GPUs, and other CPUs."""
    cluster = ClusterConfig(threads=2, planned_ranks=2)
    frozen = with_checkpoint(resolve(ValConfig(cluster=cluster), CPU), Task.obb, {"imgsz": 96, "single_cls": True})
    frozen.origin.weights = "digest"
    assert resolve(adopt(ValConfig(), frozen), GPUS) == frozen
    assert adopt(ValConfig(imgsz=64, conf=0.5), frozen).imgsz == 64
    prediction = resolve(PredictConfig(cluster=cluster, source=["x"], origin=InferenceOrigin(images=3)), CPU)
    assert resolve(adopt(PredictConfig(source=["x"]), prediction), GPUS) == prediction
