from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from yoloscale.config.freeze import load
from yoloscale.config.schema import ClusterConfig, Device
from yoloscale.errors import ConfigError
from yoloscale.sweep import devices
from yoloscale.sweep.slots import Slots, plan_slots
from yoloscale.system.machine import Machine

from .conftest import Configured, Frozen

CPUS, GPUS = Machine(gpu_count=0, cpus=8, has_bf16=True), Machine(gpu_count=8, cpus=64, has_bf16=False)


@pytest.mark.parametrize(
    ("machine", "cluster", "options", "expected"),
    [
        (CPUS, {"procs_per_node": 2}, {}, Slots(4, 2, 2)),
        (CPUS, {"procs_per_node": 2, "threads": 2}, {}, Slots(2, 2, 4)),
        (CPUS, {"procs_per_node": 16}, {}, Slots(1, 16, 8)),  # one alone may have more ranks than there are cores
        (CPUS, {"procs_per_node": 2}, {"parallel": 2}, Slots(2, 2, 4)),
        (GPUS, {"procs_per_node": 8}, {}, Slots(1, 8, 64, tuple("01234567"))),
        (GPUS, {"procs_per_node": 2}, {}, Slots(4, 2, 16, tuple("01234567"))),
        (GPUS, {"procs_per_node": 3}, {}, Slots(2, 3, 32, tuple("01234567"))),
        (GPUS, {"procs_per_node": 1}, {"parallel": 3}, Slots(3, 1, 21, tuple("01234567"))),
        (GPUS, {"procs_per_node": 1, "gpus": [5, 2]}, {}, Slots(2, 1, 32, ("5", "2"))),
        (GPUS, {"procs_per_node": 1, "gpus": [1]}, {"visible": "6,GPU-a,3,4,5,1,2,0"}, Slots(1, 1, 64, ("GPU-a",))),
        (Machine(2, 4, False), {"procs_per_node": 1}, {"visible": "6, 7"}, Slots(2, 1, 2, ("6", "7"))),
    ],
)
def test_as_many_points_as_devices_allow(
    machine: Machine, cluster: dict[str, Any], options: dict[str, Any], expected: Slots
) -> None:
    device = Device.cuda if machine.gpu_count else Device.cpu
    assert plan_slots(ClusterConfig(device=device, **cluster), machine, **options) == expected


@pytest.mark.parametrize(
    ("machine", "cluster", "parallel", "found", "instead"),
    [
        (CPUS, {"procs_per_node": 2}, 5, "5 points of 2 ranks need 10 CPUs; there are 8", "sweep.parallel=4"),
        (CPUS, {"procs_per_node": 2}, 8, "need 16 CPUs", "cluster.procs_per_node=1 with it"),
        (CPUS, {"procs_per_node": 1, "threads": 4}, 4, "1 rank with 4 threads need 16", "sweep.parallel=2"),
        (GPUS, {"procs_per_node": 4}, 4, "4 points of 4 ranks need 16 GPUs; there are 8", "procs_per_node=2 with it"),
        (GPUS, {"procs_per_node": 4, "gpus": [0, 1]}, None, "2 GPUs for the sweep", "cluster.procs_per_node=2"),
        (GPUS, {"procs_per_node": 1, "gpus": [0, 9]}, None, "GPU 9; 8 GPUs visible here", "0 to 7"),
        (GPUS, {"procs_per_node": 1, "gpus": [1, 1]}, None, "names a GPU twice", "of its own"),
        (CPUS, {"procs_per_node": 1}, 0, "0", "at least 1"),
    ],
)
def test_what_does_not_fit_is_told_with_numbers(
    machine: Machine, cluster: dict[str, Any], parallel: int | None, found: str, instead: str
) -> None:
    device = Device.cuda if machine.gpu_count else Device.cpu
    with pytest.raises(ConfigError) as error:
        plan_slots(ClusterConfig(device=device, **cluster), machine, parallel=parallel)
    assert found in error.value.problems[0].found
    assert instead in error.value.problems[0].instead


def test_a_point_gets_gpus_that_are_free() -> None:
    slots = Slots(2, 2, 4, ("0", "1", "2", "3"))
    assert slots.choose(()) == ("0", "1")
    assert slots.choose({"0", "2"}) == ("1", "3")
    assert slots.choose({"0", "1", "2"}) is None
    assert Slots(2, 2, 4).choose({"0"}) == ()


def test_a_gpu_is_leased_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "folder", lambda: tmp_path / "devices")
    slots = Slots(2, 1, 1, ("GPU-a", "GPU/b"))
    first, second = devices.lease(slots.choose), devices.lease(slots.choose)
    assert first is not None
    assert second is not None
    assert (first.gpus, second.gpus) == (("GPU-a",), ("GPU/b",))
    assert devices.lease(slots.choose) is None
    inherited = os.dup(first.descriptors[0])  # as in the child that the lease was for
    first.release()
    assert devices.lease(slots.choose) is None
    os.close(inherited)
    again = devices.lease(slots.choose)
    assert again is not None
    assert again.gpus == ("GPU-a",)
    again.release()
    second.release()


def test_points_are_not_tied_to_gpus_and_another_parallel_is_no_other_config(
    configured: Configured, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of them a point gets is decided when it starts, maybe on another machine."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    words = ("name=s", "weight_decay=0.1,0.2", "device=2,3", "cluster.procs_per_node=1")
    assert configured(*words, machine=GPUS).slots.gpus == ("2", "3")
    run = frozen(*words, machine=GPUS).directory.run_of(0)
    assert load(run.config).cluster.gpus is None
    before = run.config.read_bytes()
    frozen(*words, "sweep.parallel=1", machine=GPUS)
    assert run.config.read_bytes() == before
