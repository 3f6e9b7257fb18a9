"""GPUs cut into instances, by a stand-in for NVML."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from yoloscale.config.check.placement import gpu_problems
from yoloscale.config.schema import ClusterConfig, Device
from yoloscale.system import machine, mig
from yoloscale.system.variables import VISIBLE_GPUS


class NVMLError(Exception):
    pass


def nvml(*gpus: list[str] | None) -> Any:
    """NVML of GPUs GPU-0, GPU-1, …: the instances of each, with a gap before them; None for one that is not cut."""

    def mode(handle: int) -> tuple[int, int]:
        if gpus[handle] is None:
            raise NVMLError
        return 1, 1

    def instance(handle: int, index: int) -> str:
        names = [None, *(gpus[handle] or [])]
        if index >= len(names) or names[index] is None:
            raise NVMLError
        return str(names[index])

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(gpus),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda handle: handle if isinstance(handle, str) else f"GPU-{handle}".encode(),
        nvmlDeviceGetMigMode=mode,
        nvmlDeviceGetMaxMigDeviceCount=lambda handle: 7,
        nvmlDeviceGetMigDeviceHandleByIndex=instance,
    )


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(module: Any, visible: str | None = None) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", module)
        monkeypatch.setattr(machine, "_torch_has_cuda", lambda: True)
        monkeypatch.setattr(machine.Path, "glob", lambda path, pattern: iter([path]))
        monkeypatch.delenv(VISIBLE_GPUS, raising=False)
        if visible is not None:
            monkeypatch.setenv(VISIBLE_GPUS, visible)

    return install


def test_whole_gpus_are_left_as_they_are(install: Any) -> None:
    install(nvml(None, None))
    assert machine.this_machine().gpu_count == 2
    assert machine.show_instances({}) == {}


def test_every_instance_counts_and_is_shown(install: Any) -> None:
    install(nvml(["MIG-a", "MIG-b"], None))
    found = machine.this_machine()
    assert (found.gpu_count, found.shares_gpu) == (3, True)
    assert machine.show_instances({}) == {VISIBLE_GPUS: "MIG-a,MIG-b,GPU-1"}
    assert machine.show_instances({VISIBLE_GPUS: "MIG-b"}) == {}


def test_what_is_chosen_counts(install: Any) -> None:
    install(nvml(["MIG-a", "MIG-b"], ["MIG-c"]), visible="MIG-a, MIG-c")
    found = machine.this_machine()
    assert (found.gpu_count, found.shares_gpu) == (2, False)


def test_a_rank_sees_its_own_instance_alone() -> None:
    shown = {VISIBLE_GPUS: "MIG-a, MIG-b"}
    assert [mig.own_instance(shown, rank) for rank in range(3)] == [
        {VISIBLE_GPUS: "MIG-a"},
        {VISIBLE_GPUS: "MIG-b"},
        {},
    ]
    assert mig.own_instance({VISIBLE_GPUS: "0,1"}, 1) == {}
    assert mig.own_instance({}, 0) == {}


@pytest.mark.parametrize(("backend", "ranks", "refused"), [("nccl", 2, True), ("nccl", 1, False), ("gloo", 2, False)])
def test_nccl_between_instances_of_one_gpu_is_refused(backend: str, ranks: int, refused: bool) -> None:
    cluster = ClusterConfig(device=Device.cuda, procs_per_node=ranks, backend=backend)
    problems = gpu_problems(cluster, machine.Machine(gpu_count=2, cpus=4, has_bf16=True, shares_gpu=True))
    assert [problem.key for problem in problems] == ["cluster.backend"] * refused
