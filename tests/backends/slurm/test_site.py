"""What SLURM's own words say about CPUs beside GPUs; a real cluster says them in tests/slurm/test_cluster.py."""

from __future__ import annotations

import pytest

from yoloscale.backends.slurm import site

PARTITIONS = """\
PartitionName=main
   AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL
   AllocNodes=ALL Default=YES QoS=N/A
   JobDefaults=(null)
   DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED

PartitionName=gpu
   AllocNodes=ALL Default=NO QoS=N/A
   JobDefaults=DefMemPerGPU=64000,DefCpuPerGPU=12
   DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED
"""
NODES = """\
main* 32 gpu:a100:4(S:0-1)
main* 24 gpu:4
main* 8 (null)
main* 4 gpu:1
gpu 96 gpu:h100:8,shard:4
"""


def test_a_partitions_defaults() -> None:
    assert site.default_partition(PARTITIONS) == "main"
    assert site.default_cpus(site.partition_of(PARTITIONS, "gpu")) == 12
    assert site.default_cpus(site.partition_of(PARTITIONS, "main")) is None
    assert site.default_cpus("JobDefaults             = DefCpuPerGPU=6\n") == 6
    assert site.default_cpus("JobDefaults             = (null)\n") is None


@pytest.mark.parametrize(
    ("partition", "gpus", "cpus"), [("main", 4, 6), ("main", 1, 4), ("gpu", 8, 8), ("gpu", 9, None)]
)
def test_no_more_than_the_nodes_have(partition: str, gpus: int, cpus: int | None) -> None:
    assert site.fitting_cpus(NODES, partition, gpus) == cpus
