"""A command typed in a SLURM job that somebody has: the ranks get what the job has, and nothing is lost in silence."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from typing import Any

import pytest

from yoloscale.agent.job_end import JobEnd
from yoloscale.backends.slurm import own_job as module
from yoloscale.backends.slurm.commands import SlurmError
from yoloscale.backends.slurm.own_job import (
    OwnJob,
    environment_inside,
    left_s,
    own_job,
    remarks_in_job,
)
from yoloscale.config.schema import ClusterConfig, Config, Device
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.configure import or_fewer_nodes

SCRIPT = {"SLURM_JOB_ID": "11", "SLURM_JOB_NUM_NODES": "2", "SLURMD_NODENAME": "node1", "SLURM_CPUS_ON_NODE": "8"}
TASK = {
    **SCRIPT,
    **{"SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "node1", "SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NUM_TASKS": "1"},
    **{"SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_LOCALID": "0"},
}
SHOWN = """\
JobId=11 JobName=it Nodes=x
   NumNodes=2 NumCPUs=12 NumTasks=2 CPUs/Task=1 ReqB:S:C:T=0:0:*:*
     Nodes=node[1-2] CPU_IDs=0-7,16-23 Mem=8000 GRES=gpu:a100:4(IDX:0-3)
     Nodes=node3 CPU_IDs=0-5 Mem=6000 GRES=gpu:a100:3(IDX:0-2),nvme:1
   TresPerTask=gres:gpu:1
"""
JOB = OwnJob("11", nodes=2, gpus=4, cpus=8)


def answer(argv: list[str], timeout_s: float) -> str:
    assert argv[-1] == "11"
    return SHOWN


def silence(argv: list[str], timeout_s: float) -> str:
    raise SlurmError(argv, "Unable to contact slurm controller")


def config(**cluster: Any) -> Config:
    return Config(cluster=ClusterConfig(**{"launcher": "slurm", **cluster}))


def fit(
    job: OwnJob = JOB, frozen: Config | None = None, *, says_nodes: bool = False, **cluster: Any
) -> tuple[ClusterConfig, list[str]]:
    said: list[str] = []
    return job.fit(config(**cluster), said.append, says_nodes=says_nodes, frozen=frozen).cluster, said


def test_a_job_has_what_the_least_of_its_nodes_has() -> None:
    assert own_job(SCRIPT, answer) == OwnJob("11", nodes=2, gpus=3, cpus=6)
    assert own_job({**SCRIPT, "SLURM_HINT": "nomultithread"}, answer) == OwnJob("11", nodes=2, gpus=3)
    assert own_job(SCRIPT, silence) == OwnJob("11", nodes=2)
    uncounted = re.sub("GRES=.*", "GRES=", SHOWN)
    assert own_job(SCRIPT, lambda argv, timeout_s: uncounted) == OwnJob("11", nodes=2, gpus=None, cpus=6)
    unread = re.sub("CPU_IDs=[^ ]*", "CPU_IDs=(null)", SHOWN)
    assert own_job(SCRIPT, lambda argv, timeout_s: unread) == OwnJob("11", nodes=2, gpus=3)
    assert own_job({}, answer) is None
    assert own_job(TASK, answer) is None


def test_what_is_left_open_is_as_the_job_has_it() -> None:
    cluster, said = fit()
    assert (cluster.nodes, cluster.gpus_per_node, cluster.cpus_per_task) == (2, "4", 8)
    assert said == [
        "job 11, in which this is typed, has cluster.nodes=2 cluster.gpus_per_node=4 cluster.cpus_per_task=8"
    ]


@pytest.mark.parametrize(
    ("says_nodes", "cluster", "shape"),
    [
        (True, {}, (1, "4", 8)),
        (False, {"device": Device.cpu}, (2, None, 8)),
        (False, {"gpus_per_node": "a100:2"}, (2, "a100:2", 8)),
        (False, {"sbatch": {"gres": "gpu:2"}}, (2, None, 8)),
        (False, {"gpus": [0]}, (2, None, 8)),
        (False, {"cpus_per_task": 3}, (2, "4", 3)),
    ],
)
def test_what_is_given_stays(says_nodes: bool, cluster: dict[str, Any], shape: tuple[Any, ...]) -> None:
    found, _ = fit(says_nodes=says_nodes, **cluster)
    assert (found.nodes, found.gpus_per_node, found.cpus_per_task) == shape


@pytest.mark.parametrize(
    ("frozen", "shape"),
    [
        ({"nodes": 1, "gpus_per_node": "a100:2", "device": Device.cuda}, (1, "a100:2")),
        ({"nodes": 2, "device": Device.cuda, "sbatch": {"gres": "gpu:1"}}, (2, "1")),
        ({"nodes": 3, "gpus_per_node": "8", "device": Device.cuda}, (2, "4")),  # more than the job has
        ({"nodes": 1, "device": Device.cpu}, (1, None)),
    ],
)
def test_a_run_that_goes_on_keeps_its_nodes(frozen: dict[str, Any], shape: tuple[Any, ...]) -> None:
    found, _ = fit(frozen=config(**frozen))
    assert (found.nodes, found.gpus_per_node) == shape


def test_a_batch_that_does_not_divide_may_take_fewer_nodes() -> None:
    problem = Problem("batch", "16", "write batch=12 or batch=24")
    asked = replace(config(nodes=3, procs_per_node=4), batch=16)
    assert or_fewer_nodes(problem, asked).instead == "write batch=12 or batch=24, or cluster.nodes=2"
    assert or_fewer_nodes(problem, replace(asked, batch=18)) == problem
    assert or_fewer_nodes(replace(problem, key="epochs"), asked).instead == problem.instead


def test_a_job_without_gpus_and_one_that_slurm_does_not_tell_of() -> None:
    assert fit(OwnJob("11", 1, gpus=0, cpus=8))[0].gpus_per_node is None
    assert fit(OwnJob("11", 1)) == (config().cluster, [])


def test_what_only_sbatch_would_have_read_is_said() -> None:
    _, said = fit(
        OwnJob("11", 1), partition="low", time="30", exclusive="true", sbatch={"nodelist": "n1", "hold": False}
    )
    (line,) = said
    assert "cluster.partition, cluster.time, cluster.exclusive, cluster.sbatch.nodelist of this command" in line


@pytest.mark.parametrize(
    ("cluster", "job", "told"),
    [
        ({"nodes": 3}, JOB, {"cluster.nodes": "write cluster.nodes=2; "}),
        ({"gpus_per_node": "a100:8"}, JOB, {"cluster.gpus_per_node": "write cluster.gpus_per_node=4; "}),
        ({"gpus_per_node": "1"}, OwnJob("11", 1, 0, 8), {"cluster.gpus_per_node": "write device=cpu, or ask"}),
        (
            {"nodes": 3, "cpus_per_task": 9},
            JOB,
            {"cluster.nodes": "cluster.nodes=2", "cluster.cpus_per_task": "cluster.cpus_per_task=8"},
        ),
    ],
)
def test_more_than_the_job_has_is_refused_at_once(cluster: dict[str, Any], job: OwnJob, told: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        job.refuse_too_small(config(**cluster))
    problems = {problem.key: problem.instead for problem in raised.value.problems}
    assert problems.keys() == told.keys()
    assert all(hint in problems[key] for key, hint in told.items())


def test_as_much_as_the_job_has_is_fine() -> None:
    JOB.refuse_too_small(config(nodes=2, gpus_per_node="4", cpus_per_task=8))
    OwnJob("11", nodes=2).refuse_too_small(config(nodes=2, gpus_per_node="4", cpus_per_task=8))


def test_srun_does_not_read_how_the_tasks_of_the_person_share_a_node() -> None:
    own = {"SLURM_NTASKS_PER_NODE": "4", "SLURM_GPUS_PER_TASK": "1", "SLURM_CPUS_PER_TASK": "2", "SLURM_GPUS": "8"}
    given = {**SCRIPT, **own, "SLURM_MEM_PER_CPU": "1000", "HOME": "/home/ada"}
    kept = {**SCRIPT, "SLURM_MEM_PER_CPU": "1000", "HOME": "/home/ada"}
    assert environment_inside(config(device=Device.cpu).cluster, JOB, given) == kept
    on_gpus = config(gpus_per_node="a100:4").cluster
    assert environment_inside(on_gpus, JOB, given) == {**kept, "SLURM_GPUS_PER_NODE": "4"}
    assert environment_inside(on_gpus, OwnJob("11", nodes=2), given) == kept  # none are counted there


@pytest.mark.parametrize(
    ("launcher", "environ", "said"),
    [
        ("local", {}, None),
        ("slurm", SCRIPT, None),
        ("local", {**SCRIPT, "SLURM_JOB_NUM_NODES": "1"}, None),
        ("local", SCRIPT, "has 2 nodes, and this trains on"),
        ("local", {"SLURM_JOB_ID": "11", "SLURM_JOB_NUM_NODES": "1"}, "is no node of job 11"),
        ("slurm", TASK, "submits another one: without srun it uses 11"),
        ("local", TASK, None),
        ("local", {**TASK, "SLURM_CPUS_PER_TASK": "8"}, "srun --cpus-per-task=8, or leave srun out"),
        ("local", {**TASK, "SLURM_CPUS_PER_TASK": "1"}, None),
        (
            "local",
            {**TASK, "SLURM_JOB_GPUS": "0,2-3"},
            "none of the 3 GPUs that job 11 has here: write srun --gpus",
        ),
        ("local", {**TASK, "SLURM_JOB_GPUS": "0,1", "SLURM_STEP_GPUS": "0"}, None),
        ("local", {**TASK, "SLURM_JOB_GPUS": ""}, None),
        ("local", {**TASK, "SLURM_JOB_GPUS": "GPU-7f,MIG-3"}, None),
    ],
)
def test_less_than_a_person_may_think_is_said(
    launcher: str, environ: dict[str, str], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "affinity", lambda: 1)
    lines = remarks_in_job(replace(config(launcher=launcher), name="run"), environ)
    assert len(lines) == (said is not None)
    assert said is None or said in lines[0]


@pytest.mark.parametrize(
    ("environ", "is_said"),
    [
        ({}, False),
        ({**SCRIPT, "SLURM_JOB_NUM_NODES": "1"}, True),
        (TASK, True),
        ({**TASK, "SLURM_PTY_PORT": "4711"}, False),  # srun --pty bash
        ({"SLURM_JOB_ID": "11", "SLURM_JOB_NUM_NODES": "1"}, False),  # salloc
    ],
)
def test_a_script_that_slurm_may_start_again_is_told_to_name_its_run(environ: dict[str, str], is_said: bool) -> None:
    lines = remarks_in_job(config(launcher="local"), environ)
    assert any("name= is not given: when SLURM starts job 11 again" in line for line in lines) == is_said


def test_what_is_left_of_a_job() -> None:
    shown = "JobId=11 JobName=it\n   JobState=RUNNING Reason=None\n   RunTime=00:20:00 TimeLimit=01:00:00 TimeMin=N/A\n"
    assert left_s(SCRIPT, lambda argv, timeout_s: shown) == 2400
    assert left_s(SCRIPT, lambda argv, timeout_s: shown.replace("01:00:00", "UNLIMITED")) == math.inf
    assert left_s(SCRIPT, lambda argv, timeout_s: shown.replace("RUNNING", "CANCELLED")) is None
    assert left_s(SCRIPT, silence) is None
    assert left_s({}, answer) is None


@pytest.mark.parametrize(
    ("cluster", "is_said"),
    [
        ({"device": Device.cuda, "procs_per_node": 4, "cpus_per_task": 1}, True),
        ({"device": Device.cuda, "procs_per_node": 4, "cpus_per_task": 8}, False),
        ({"device": Device.cpu, "procs_per_node": 4, "cpus_per_task": 1}, False),
        ({"device": Device.cuda, "procs_per_node": 1, "launcher": "local"}, True),
    ],
)
def test_a_job_with_gpus_and_hardly_a_cpu(
    cluster: dict[str, Any], is_said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available", lambda: 1)
    lines = remarks_in_job(replace(config(**cluster), name="run"), {**SCRIPT, "SLURM_JOB_NUM_NODES": "1"})
    assert [f"--cpus-per-task={8 * cluster['procs_per_node']} " in line for line in lines] == [True] * is_said


def test_a_job_that_is_given_more_time_is_not_stopped_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    answers: list[float | None] = [600.0, 3700.0, math.inf]
    end = JobEnd(120.0, lambda: answers.pop(0))
    now = 1479.0
    assert not end.is_near()
    assert len(answers) == 2
    now = 1481.0  # now it is asked again, and has got an hour
    assert not end.is_near()
    now = 5000.0
    assert not end.is_near()
    assert answers == [math.inf]
    now = 5081.0
    assert not end.is_near()
    now = 1e6
    assert not end.is_near()


@pytest.mark.parametrize("answer", [None, 119.0])
def test_at_the_end_of_a_job_its_ranks_stop(answer: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if SLURM does not answer by then."""
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    answers: list[float | None] = [600.0, answer]
    end = JobEnd(120.0, lambda: answers.pop(0))
    now = 1481.0
    assert end.is_near()
    assert not JobEnd(120.0, lambda: None).is_near()
