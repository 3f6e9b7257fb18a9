"""The GPUs of a job reach the one task that is started on each node, however somebody has asked for them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.slurm.conftest import SlurmCluster

SOURCE = Path(__file__).parents[2] / "src"
# what `yoloscale train cluster=slurm device=cuda` does in a job, but for the ranks
INSIDE = """
import os, subprocess
from yoloscale.config.schema import Config, ClusterConfig, Device
from yoloscale.backends.slurm.own_job import environment_inside, own_job
from yoloscale.backends.slurm.render import srun_flags
asked = Config(cluster=ClusterConfig(launcher="slurm", device=Device.cuda))
job = own_job()
cluster = job.fit(asked, print, says_nodes=False).cluster
step = ["srun", *srun_flags(cluster), "printenv", "CUDA_VISIBLE_DEVICES", "SLURM_CPUS_PER_TASK"]
subprocess.run(step, env=environment_inside(cluster, job, os.environ), check=True)
"""
OPTIONS = {
    "a task a GPU": ("--ntasks-per-node=2", "--gpus-per-task=1", "--cpus-per-task=2"),
    "of the job": ("--gpus=2", "--ntasks=4"),
    "gres": ("--gres=gpu:2", "--ntasks=1", "--cpus-per-task=4"),
    "CPUs a GPU": ("--gres=gpu:2", "--cpus-per-gpu=2", "--mem-per-gpu=100"),
    "whole nodes": ("--exclusive", "--ntasks=1"),
}


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SlurmCluster]:
    """A node with four CPUs and two GPUs that only SLURM believes in."""
    made = SlurmCluster(tmp_path_factory.mktemp("gpus"), ("--nodes=1", "--cpus=4", "--gpus=2"))
    made.up()
    yield made
    made.down()


@pytest.mark.long
@pytest.mark.parametrize("asked", OPTIONS.values(), ids=OPTIONS)
def test_the_launcher_of_a_node_has_all_of_it(cluster: SlurmCluster, asked: tuple[str, ...]) -> None:
    environment = {**os.environ, "SLURM_CONF": str(cluster.configuration), "PYTHONPATH": str(SOURCE)}
    command = ["salloc", "--nodes=1", *asked, sys.executable, "-c", INSIDE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["0,1", "4"], done.stdout


@pytest.mark.long
def test_a_step_of_an_exclusive_job_has_gpus_only_if_it_asks(cluster: SlurmCluster) -> None:
    """Why srun is told of them where the job was not."""
    step = "srun --ntasks=1 $ASKED sh -c 'echo \"$CUDA_VISIBLE_DEVICES\"'"
    said = cluster.run("salloc", "--exclusive", "--nodes=1", "sh", "-c", f"{step}; ASKED=--gpus-per-node=2; {step}")
    assert said.splitlines()[-1:] == ["0,1"]
    assert said.count("0,1") == 1
