"""Which CPUs a rank may count as its own, by what it finds about the node and about itself."""

from __future__ import annotations

import pytest

from yoloscale.system import cpus
from yoloscale.system.variables import CPU_SHARE


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A node with 16 CPUs to be used and nothing else known."""
    slurm = ("CPUS_PER_TASK", "CPUS_ON_NODE", "NTASKS_PER_NODE", "TASKS_PER_NODE")
    for name in (*(f"SLURM_{name}" for name in slurm), CPU_SHARE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpus, "affinity", lambda: 16)
    monkeypatch.setattr(cpus, "_cgroup_quota", lambda: None)
    return monkeypatch


def test_what_limits_the_node_is_divided_among_its_ranks(node: pytest.MonkeyPatch) -> None:
    assert cpus.share(4) == 4
    node.setattr(cpus, "_cgroup_quota", lambda: 12)
    assert cpus.share(4) == 3
    node.setenv("SLURM_CPUS_PER_TASK", "8")  # of torchrun's agent
    assert cpus.share(4) == 2
    node.setenv(CPU_SHARE, "6")
    assert cpus.share(4) == 1
    assert cpus.share(32) == 1


@pytest.mark.parametrize(
    ("tasks", "there"), [("1", 8), ("1(x3)", 8), ("4", 2), ("4(x2)", 2), ("1,3", 2), ("10", 2), (None, 2)]
)
def test_a_batch_script_has_all_cpus_of_its_node_if_its_job_has_one_task_there(
    node: pytest.MonkeyPatch, tasks: str | None, there: int
) -> None:
    """With several, `yoloscale train … &` for each has those of a task."""
    node.setenv("SLURM_CPUS_PER_TASK", "2")
    node.setenv("SLURM_CPUS_ON_NODE", "8")
    if tasks is not None:
        node.setenv("SLURM_TASKS_PER_NODE", tasks)
    assert (cpus.available(), cpus.share(2)) == (there, there // 2)


def test_a_task_of_a_batch_script_has_its_own_cpus(node: pytest.MonkeyPatch) -> None:
    node.setenv("SLURM_CPUS_PER_TASK", "2")
    node.setenv("SLURM_CPUS_ON_NODE", "8")
    node.setenv("SLURM_TASKS_PER_NODE", "1")
    step = {"JOB_ID": "7", "STEP_ID": "0", "STEP_NODELIST": "n1", "STEP_NUM_NODES": "1", "STEP_NUM_TASKS": "1"}
    step |= {"STEP_TASKS_PER_NODE": "1", "PROCID": "0", "NODEID": "0", "LOCALID": "0"}
    for name, value in step.items():
        node.setenv(f"SLURM_{name}", value)
    assert (cpus.available(), cpus.share(4)) == (2, 1)


def test_what_srun_gives_to_each_task_is_not_divided(node: pytest.MonkeyPatch) -> None:
    node.setenv("SLURM_CPUS_PER_TASK", "8")
    assert cpus.share(2, is_task=True) == 8
    node.setattr(cpus, "affinity", lambda: 6)
    assert cpus.share(2, is_task=True) == 6
    node.setattr(cpus, "_cgroup_quota", lambda: 8)  # of a container around all of them
    assert cpus.share(2, is_task=True) == 4


def test_a_task_that_asked_for_no_cpus_has_its_part_of_the_jobs(node: pytest.MonkeyPatch) -> None:
    assert cpus.share(2, is_task=True) == 8
    node.setenv("SLURM_CPUS_ON_NODE", "4")
    assert cpus.share(2, is_task=True) == 2
    node.setattr(cpus, "affinity", lambda: 1)
    assert cpus.share(2, is_task=True) == 1


def test_ranks_bound_to_a_part_of_the_node_divide_that(node: pytest.MonkeyPatch) -> None:
    node.setattr(cpus, "affinity", lambda: 8)  # one of two NUMA nodes
    assert cpus.share(4, bound_alike=2) == 4
    node.setenv("SLURM_CPUS_PER_TASK", "12")  # of the node
    assert cpus.share(4, bound_alike=2) == 3
