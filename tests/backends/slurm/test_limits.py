"""Limits of a site, read from what SLURM's commands print, and what they mean for a job; nobody is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yoloscale.backends.slurm import limits
from yoloscale.backends.slurm.commands import SlurmError
from yoloscale.backends.slurm.limits import Site, array_limits, ask_site, site_problems
from yoloscale.config.schema import ClusterConfig, Config

CONFIG = """\
Configuration data as of 2026-11-29T10:00:00
AccountingStorageEnforce = associations,limits,qos
DefMemPerNode           = UNLIMITED
MaxArraySize            = 1001
MaxJobCount             = 10000
SchedulerParameters     = bf_max_job_test=500,max_array_tasks=300
"""
PARTITIONS = """\
PartitionName=debug
   AllocNodes=ALL Default=YES QoS=N/A
   DefaultTime=00:10:00 DisableRootJobs=NO
   MaxNodes=1 MaxTime=00:30:00 MinNodes=0
   State=UP TotalCPUs=64 TotalNodes=2
   DefMemPerCPU=2000 MaxMemPerNode=UNLIMITED

PartitionName=gpu
   AllocNodes=ALL Default=NO QoS=N/A
   DefaultTime=NONE DisableRootJobs=NO
   MaxNodes=UNLIMITED MaxTime=2-00:00:00 MinNodes=0
   State=UP TotalCPUs=256 TotalNodes=8
   DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED

PartitionName=long
   AllocNodes=ALL Default=NO QoS=N/A
   DefaultTime=NONE DisableRootJobs=NO
   MaxNodes=4 MaxTime=UNLIMITED MinNodes=0
   State=UP TotalCPUs=256 TotalNodes=16
   DefMemPerNode=64000 MaxMemPerNode=UNLIMITED
"""
ASSOCIATIONS = "vision||200||normal\nvision|gpu|50|1-00:00:00|normal\nguests||20||small\n"
QOS = "normal|100|\nsmall||04:00:00\nlarge||\n"
SITE = Site(CONFIG, PARTITIONS)
ACCOUNTS = Site(CONFIG, PARTITIONS, ASSOCIATIONS, QOS)


def problems(site: Site = SITE, points: int = 1, **cluster: Any) -> list[tuple[str, str, str]]:
    config = Config(cluster=ClusterConfig(launcher="slurm", **cluster))
    found = site_problems(config, lambda line: None, points=points, asked=lambda: site)
    return [(problem.key, problem.found, problem.instead) for problem in found]


@pytest.mark.parametrize(
    ("cluster", "key", "longest"),
    [
        ({"time": "31"}, "cluster.time", "00:30:00"),
        ({"time": "2-00:00:01", "partition": "gpu"}, "cluster.time", "2-00:00:00"),
        ({"time": "3-0", "partition": "debug,gpu"}, "cluster.time", "2-00:00:00"),
        ({"sbatch": {"time": "01:00:00"}, "time": "20"}, "cluster.sbatch.time", "00:30:00"),
        ({"sbatch": {"partition": "gpu", "time": "49:00:00"}}, "cluster.sbatch.time", "2-00:00:00"),
    ],
)
def test_a_time_that_no_partition_of_the_job_takes(cluster: dict[str, Any], key: str, longest: str) -> None:
    ((found_key, found, instead),) = problems(**cluster)
    assert found_key == key
    assert f"ends jobs after {longest}" in found
    assert f"{key}={longest}" in instead


@pytest.mark.parametrize(
    "cluster",
    [
        {"time": "30"},
        {"time": "2-0", "partition": "debug,gpu"},
        {"time": "300-0", "partition": "long"},
        {"time": "300-0", "partition": "unknown"},  # sbatch has its say
        {"time": "1-0", "qos": "large"},  # a QOS may lift what a partition says
        {"time": "1-0", "reservation": "course"},
        {"nodes": 8, "partition": "gpu"},
        {"nodes": 4, "partition": "debug,long"},
    ],
    ids=str,
)
def test_what_a_partition_takes_is_no_problem(cluster: dict[str, Any]) -> None:
    assert problems(**cluster) == []


@pytest.mark.parametrize(
    ("cluster", "most"),
    [
        ({"nodes": 2}, 1),  # MaxNodes
        ({"nodes": 9, "partition": "gpu"}, 8),  # all there are
        ({"nodes": 5, "partition": "debug,long"}, 4),
    ],
)
def test_more_nodes_than_a_job_gets_would_wait_for_ever(cluster: dict[str, Any], most: int) -> None:
    ((key, _, instead),) = problems(**cluster)
    assert key == "cluster.nodes"
    assert f"cluster.nodes={most}" in instead


@pytest.mark.parametrize(
    ("cluster", "points", "most", "who"),
    [
        ({}, 20000, 10000, "the whole cluster"),
        ({"account": "vision", "partition": "debug"}, 101, 100, "QOS normal"),
        ({"account": "vision", "partition": "gpu", "qos": "large"}, 201, 200, "account vision"),
        ({"account": "guests", "qos": "large"}, 21, 20, "account guests"),
    ],
)
def test_more_points_than_jobs_may_be_submitted(cluster: dict[str, Any], points: int, most: int, who: str) -> None:
    ((key, found, instead),) = problems(ACCOUNTS if cluster else SITE, points, **cluster)
    assert key == "sweep"
    assert f"{who} takes {most}" in found
    assert f"{most} points" in instead
    assert problems(ACCOUNTS if cluster else SITE, most, **cluster) == []


def test_times_of_accounts_and_of_a_qos() -> None:
    ((_, found, _),) = problems(ACCOUNTS, time="5:00:00", qos="small", partition="gpu")
    assert "QOS small" in found
    only = replace(ACCOUNTS, associations="vision|gpu|50|1-00:00:00|normal\n")
    ((_, found, _),) = problems(only, time="30:00:00", partition="gpu", qos="normal")
    assert "account vision" in found


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({}, ["debug ends a job after 00:10:00", "2000 MB for each CPU"]),
        ({"partition": "gpu"}, ["gpu ends a job after 2-00:00:00"]),
        ({"partition": "long"}, ["64000 MB for each node"]),
        ({"partition": "long", "mem": "8G"}, []),
        ({"time": "5", "sbatch": {"mem-per-cpu": "4G"}}, []),
        ({"time": "5", "exclusive": "true"}, []),
    ],
)
def test_what_the_site_decides_by_itself_is_said(cluster: dict[str, Any], words: list[str]) -> None:
    said: list[str] = []
    config = Config(cluster=ClusterConfig(launcher="slurm", **cluster))
    assert site_problems(config, said.append, asked=lambda: SITE) == []
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True))


def test_nobody_is_asked_without_slurm_nor_inside_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Site:
        raise AssertionError("asked")

    assert site_problems(Config(), print, asked=never) == []
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", "7")
        assert site_problems(Config(cluster=ClusterConfig(launcher="slurm")), print, asked=never) == []


@pytest.mark.parametrize("enforced", ["associations,limits,qos", "none", "associations"])
def test_accounts_are_asked_where_their_limits_hold(monkeypatch: pytest.MonkeyPatch, enforced: str) -> None:
    asked: list[str] = []

    def call(argv: list[str], **_: Any) -> str:
        asked.append(" ".join(argv))
        if "qos" in argv:
            raise SlurmError(argv, "slurmdbd does not answer")
        return CONFIG.replace("associations,limits,qos", enforced) if "config" in argv else "|".join(argv)

    with monkeypatch.context() as patch:
        patch.setattr(limits, "call", call)
        site = ask_site()
    assert any(words.startswith("sacctmgr") for words in asked) == ("limits" in enforced)
    assert site.qos == "", "no answer is no obstacle"


def test_no_answer_is_no_obstacle() -> None:
    assert problems(Site(), 5000, time="100-0", nodes=1000) == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (CONFIG, (1001, 300)),
        ("MaxArraySize            = 4000001\nSchedulerParameters     = (null)\n", (4000001, 4000001)),
        ("MaxArraySize            = 101\nSchedulerParameters     = max_array_tasks=500\n", (101, 101)),
        ("", None),
    ],
)
def test_the_largest_array(config: str, expected: tuple[int, int] | None) -> None:
    found = array_limits(config)
    assert (None if found is None else (found.size, found.tasks)) == expected
