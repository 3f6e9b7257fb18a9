"""Which CPUs a rank may count as its own, by what it finds about the node and about itself."""

from __future__ import annotations

import pytest

from yoloscale.config import cpus


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A node with 16 CPUs to be used and nothing else known."""
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", cpus.LIMIT):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpus, "_affinity", lambda: 16)
    monkeypatch.setattr(cpus, "_cgroup_quota", lambda: None)
    return monkeypatch


def test_what_limits_the_node_is_divided_among_its_ranks(node: pytest.MonkeyPatch) -> None:
    assert cpus.share(4) == 4
    node.setattr(cpus, "_cgroup_quota", lambda: 12)
    assert cpus.share(4) == 3
    node.setenv("SLURM_CPUS_PER_TASK", "8")  # of torchrun's agent
    assert cpus.share(4) == 2
    node.setenv(cpus.LIMIT, "6")
    assert cpus.share(4) == 1
    assert cpus.share(32) == 1


def test_what_srun_gives_to_each_task_is_not_divided(node: pytest.MonkeyPatch) -> None:
    node.setenv("SLURM_CPUS_PER_TASK", "8")
    assert cpus.share(2, is_task=True) == 8
    node.setattr(cpus, "_affinity", lambda: 6)
    assert cpus.share(2, is_task=True) == 6
    node.setattr(cpus, "_cgroup_quota", lambda: 8)  # of a container around all of them
    assert cpus.share(2, is_task=True) == 4


def test_a_task_that_asked_for_no_cpus_has_its_part_of_the_jobs(node: pytest.MonkeyPatch) -> None:
    assert cpus.share(2, is_task=True) == 8
    node.setenv("SLURM_CPUS_ON_NODE", "4")
    assert cpus.share(2, is_task=True) == 2
    node.setattr(cpus, "_affinity", lambda: 1)
    assert cpus.share(2, is_task=True) == 1


def test_ranks_bound_to_a_part_of_the_node_divide_that(node: pytest.MonkeyPatch) -> None:
    node.setattr(cpus, "_affinity", lambda: 8)  # one of two NUMA nodes
    assert cpus.share(4, bound_alike=2) == 4
    node.setenv("SLURM_CPUS_PER_TASK", "12")  # of the node
    assert cpus.share(4, bound_alike=2) == 3
