from __future__ import annotations

from typing import Any

import pytest

from yoloscale.config.resolve import resolve, starting_weights
from yoloscale.config.schema import ClusterConfig, Config, DataConfig, Device, ModelConfig, ShapesConfig
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
