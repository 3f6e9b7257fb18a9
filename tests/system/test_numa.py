"""A rank stays on the CPUs beside its GPU, where the kernel tells them apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from yoloscale.distributed.environment import Ranks
from yoloscale.system import numa
from yoloscale.worker.train import parts


@pytest.fixture
def mine() -> Iterator[frozenset[int]]:
    """The CPUs of this process, which has them again after the test."""
    here = os.sched_getaffinity(0)
    yield frozenset(here)
    os.sched_setaffinity(0, here)


@pytest.mark.parametrize(
    ("said", "cpus"),
    [("0-3,8\n", {0, 1, 2, 3, 8}), ("5\n", {5}), ("0-1,64-65", {0, 1, 64, 65}), ("\n", set()), ("what\n", set())],
)
def test_the_kernels_lists_are_read(tmp_path: Path, said: str, cpus: set[int]) -> None:
    (tmp_path / "0000:17:00.0").mkdir()
    (tmp_path / "0000:17:00.0" / "local_cpulist").write_text(said)
    assert numa.cpus_near("0000:17:00.0", tmp_path) == cpus
    assert numa.cpus_near("0000:99:00.0", tmp_path) == set()


def test_it_is_bound_among_the_cpus_that_it_has(mine: frozenset[int]) -> None:
    if len(mine) < 2:
        pytest.skip("two CPUs are needed to be bound to one of them")
    first, elsewhere = frozenset({min(mine)}), frozenset({max(mine) + 1})
    assert numa.bind([first | elsewhere, mine - first, first], 0) == 2
    assert os.sched_getaffinity(0) == first


@pytest.mark.parametrize("case", ["all", "none", "elsewhere"])
def test_where_there_is_nothing_to_choose_it_stays_as_it_is(mine: frozenset[int], case: str) -> None:
    near = {"all": mine, "none": frozenset[int](), "elsewhere": frozenset({max(mine) + 1})}[case]
    assert numa.bind([near, near], 1) is None
    assert os.sched_getaffinity(0) == mine


@pytest.mark.parametrize("is_task", [False, True])
def test_ranks_beside_the_same_gpus_share_their_cpus(
    tmp_path: Path, mine: frozenset[int], monkeypatch: pytest.MonkeyPatch, is_task: bool
) -> None:
    """Four GPUs, two beside each half of the CPUs; the kernel's files and CUDA are stand-ins."""
    if len(mine) < 2:
        pytest.skip("two CPUs are needed to be bound to one of them")
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    one, other = sorted(mine)[: len(mine) // 2], sorted(mine)[len(mine) // 2 :]
    for index, cpus in enumerate([one, one, other, other]):
        (tmp_path / f"0000:{index + 10:02x}:00.0").mkdir()
        (tmp_path / f"0000:{index + 10:02x}:00.0" / "local_cpulist").write_text(",".join(map(str, cpus)))
    monkeypatch.setattr(numa, "DEVICES", tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    about = {i: SimpleNamespace(pci_domain_id=0, pci_bus_id=i + 10, pci_device_id=0) for i in range(4)}
    monkeypatch.setattr(torch.cuda, "get_device_properties", about.__getitem__)
    ranks = Ranks(rank=2, world_size=4, local_rank=2, local_world_size=4, is_task=is_task)
    bound = parts.stay_near(torch.device("cuda", 2), ranks)
    assert os.sched_getaffinity(0) == set(other)
    assert bound.bound_alike == (1 if is_task else 2)
    assert parts.stay_near(torch.device("cpu"), ranks) is ranks
