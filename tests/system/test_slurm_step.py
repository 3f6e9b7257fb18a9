from __future__ import annotations

import pytest

from yoloscale.system.slurm_step import first_host, job_of, restarts_of, step_of, tasks_on

STEP = {
    "SLURM_JOB_ID": "8",
    "SLURM_STEP_ID": "1",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
    "SLURM_PROCID": "1",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "0",
}


@pytest.mark.parametrize(
    ("nodelist", "host"),
    [
        ("node1", "node1"),
        ("node[1-2]", "node1"),
        ("a,b", "a"),
        ("gpu-a[001,003-007]", "gpu-a001"),
        ("rack[02-04,7]n[1-2],login", "rack02n1"),
        ("n[9-10]-ib.site", "n9-ib.site"),
    ],
)
def test_the_first_host(nodelist: str, host: str) -> None:
    assert first_host(nodelist) == host


@pytest.mark.parametrize(("node", "tasks"), [(0, 4), (1, 4), (2, 1)])
def test_tasks_of_a_node(node: int, tasks: int) -> None:
    assert tasks_on("4(x2),1", node) == tasks


def test_an_element_of_an_array_is_named_by_its_index() -> None:
    """The last element of an array has the array's own number: by that, scontrol would take all of them."""
    assert job_of({"SLURM_JOB_ID": "8", "SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "4"}) == "8_4"
    assert job_of({"SLURM_JOB_ID": "8"}) == "8"
    assert job_of({}) is None
    assert job_of({"SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "4"}) is None  # env -u SLURM_JOB_ID …


def test_the_first_start_has_no_restart_count() -> None:
    assert restarts_of({}) == 0
    assert restarts_of({"SLURM_RESTART_COUNT": "3"}) == 3


def test_all_tasks_of_an_srun_agree_on_start_and_port() -> None:
    other = step_of({**STEP, "SLURM_PROCID": "0", "SLURM_NODEID": "0"})
    mine = step_of(STEP)
    assert mine is not None
    assert other is not None
    assert (mine.start, mine.port, mine.first_host) == (other.start, other.port, "node1")
    again = step_of({**STEP, "SLURM_RESTART_COUNT": "1"})
    assert again is not None
    assert again.start != mine.start


def test_neighbours_have_other_ports() -> None:
    steps = [step_of({**STEP, "SLURM_JOB_ID": str(number)}) for number in range(500)]
    # each element of an array has a number of its own, and other jobs have those between array and element
    elements = {"SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "3"}
    steps += [step_of({**STEP, **elements, "SLURM_JOB_ID": str(number)}) for number in range(500, 800)]
    ports = [step.port for step in steps if step is not None]
    assert len(set(ports)) == 800
    assert min(ports) >= 15000
    assert max(ports) < 32768


@pytest.mark.parametrize("special", [0xFFFFFFFB, 0xFFFFFFFA, 0xFFFFFFFD])
def test_what_slurm_starts_itself_is_no_step(special: int) -> None:
    assert step_of({**STEP, "SLURM_STEP_ID": str(special)}) is None
    assert step_of({"SLURM_JOB_ID": "8", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}) is None
