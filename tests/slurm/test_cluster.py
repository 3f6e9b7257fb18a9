"""scripts/slurm-cluster: what it says of itself, with real daemons."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from yoloscale.backends.slurm import site
from yoloscale.config.schema.slurm import CPUS_PER_GPU

Script = Callable[..., subprocess.CompletedProcess[str]]


def processes_of(folder: Path) -> list[str]:
    """Processes whose arguments name a folder: machines, munged, mariadbd."""
    found = [entry.read_bytes() for entry in Path("/proc").glob("[0-9]*/cmdline") if entry.exists()]
    return [line.replace(b"\0", b" ").decode() for line in found if bytes(folder) in line]


def interfaces() -> set[str]:
    return {path.name for path in Path("/sys/class/net").glob("slurm*")}


def wait_until(is_so: Callable[[], bool], timeout_s: float = 600) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path, slurm_script: Script) -> Iterator[Path]:
    """For a cluster of the test's own, which is ended whatever happens."""
    yield tmp_path / "cluster"
    slurm_script("down", tmp_path / "cluster")


def test_up_is_done_once_and_down_leaves_nothing(folder: Path, slurm_script: Script) -> None:
    before = interfaces()
    hosts = Path("/etc/hosts").read_bytes()
    assert slurm_script("up", folder, "--nodes=1").returncode == 0
    machines = processes_of(folder)
    own = interfaces() - before
    assert len(own) == 1
    again = slurm_script("up", folder, "--nodes=1")
    assert (again.returncode, again.stderr.split()[-2:]) == (0, ["is", "up"])
    assert processes_of(folder) == machines
    assert slurm_script("env", folder).stdout == f"export SLURM_CONF={folder}/etc/slurm.conf\n"
    assert slurm_script("down", folder, "--purge").returncode == 0
    assert (processes_of(folder), own & interfaces(), folder.exists()) == ([], set(), False)
    assert Path("/etc/hosts").read_bytes() == hosts


def test_two_clusters_are_up_at_once(folder: Path, slurm_script: Script, slurm_cluster: Any, tmp_path: Path) -> None:
    assert slurm_script("up", folder, "--nodes=1").returncode == 0
    assert slurm_cluster.run("srun", "--nodes=1", "hostname") == "node1"
    environment = {**os.environ, "SLURM_CONF": f"{folder}/etc/slurm.conf"}
    other = subprocess.run(["sinfo", "-hNp", "main"], env=environment, capture_output=True, text=True, check=True)
    assert len(other.stdout.splitlines()) == 1
    assert len(slurm_cluster.node_states()) == 4


@pytest.mark.parametrize("delay_s", [0.1, 0.2, 0.3])
def test_what_was_killed_half_way_is_repaired(folder: Path, slurm_script: Script, delay_s: float) -> None:
    command = [str(Path(__file__).parents[2] / "scripts" / "slurm-cluster"), "up", str(folder), "--nodes=1"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as killed:
        time.sleep(delay_s)  # the moment is the parameter
        killed.send_signal(signal.SIGKILL)
    assert slurm_script("up", folder, "--nodes=1").returncode == 0
    assert len([line for line in processes_of(folder) if line.startswith("unshare")]) == 2
    assert slurm_script("down", folder, "--purge").returncode == 0
    assert processes_of(folder) == []


def test_a_daemon_that_does_not_start_is_quoted(folder: Path, slurm_script: Script) -> None:
    done = slurm_script("up", folder, "--set", "Nonsense=1")
    assert done.returncode == 1
    assert "slurmctld" in done.stderr
    assert "unrecognized key: Nonsense" in done.stderr
    assert processes_of(folder) == []


def test_a_folder_with_other_things_is_refused(folder: Path, slurm_script: Script) -> None:
    folder.mkdir()
    (folder / "thesis.txt").touch()
    done = slurm_script("up", folder)
    assert (done.returncode, (folder / "thesis.txt").exists()) == (1, True)
    assert "holds other things" in done.stderr


@pytest.mark.parametrize("words", [["--set", "Key"], ["--nodes=0"], ["--cpus=many"]], ids=" ".join)
def test_wrong_usage_is_told(folder: Path, slurm_script: Script, words: list[str]) -> None:
    assert slurm_script("up", folder, *words).returncode == 2
    assert not folder.exists()


def test_nodes_have_host_names_that_resolve(slurm_cluster: Any) -> None:
    assert sorted(slurm_cluster.run("srun", "--nodes=2", "hostname").split()) == ["node1", "node2"]
    assert slurm_cluster.run("srun", "--nodes=1", "getent", "hosts", "node4").split()[-1] == "node4"
    shared = slurm_cluster.run("srun", "--nodes=2", "sh", "-c", "touch /dev/shm/$(hostname); ls /dev/shm")
    assert sorted(shared.split()) == ["node1", "node2"]  # each has seen its own only


def test_more_nodes_than_there_are_is_an_error(slurm_cluster: Any) -> None:
    with pytest.raises(AssertionError, match=r"Node count specification invalid|More processors requested"):
        slurm_cluster.run("sbatch", "--nodes=99", "--wrap=true")


def test_a_requeued_job_starts_again(slurm_cluster: Any, tmp_path: Path) -> None:
    first = 'if [ -z "$SLURM_RESTART_COUNT" ]; then scontrol requeue $SLURM_JOB_ID; sleep 60; fi'
    job = slurm_cluster.sbatch(first, folder=tmp_path)
    assert slurm_cluster.wait_for(job) == "COMPLETED"
    assert "Restarts=1" in slurm_cluster.run("scontrol", "show", "job", str(job))


@pytest.mark.long
def test_a_job_in_main_takes_the_nodes_of_one_in_low(slurm_cluster: Any, tmp_path: Path) -> None:
    low = slurm_cluster.sbatch("sleep 300", "--partition=low", "--nodes=4", "--exclusive", folder=tmp_path)
    slurm_cluster.wait_for(low, "RUNNING")
    main = slurm_cluster.sbatch("true", "--nodes=4", "--exclusive", folder=tmp_path)
    assert slurm_cluster.wait_for(main) == "COMPLETED"
    slurm_cluster.wait_for(low, "RUNNING")
    assert "Restarts=1" in slurm_cluster.run("scontrol", "show", "job", str(low))


@pytest.mark.long
def test_a_node_without_power_loses_its_jobs_and_comes_back(slurm_cluster: Any, tmp_path: Path) -> None:
    job = slurm_cluster.sbatch("srun sleep 300", "--nodelist=node3", "--no-requeue", folder=tmp_path)
    slurm_cluster.wait_for(job, "RUNNING")
    slurm_cluster.node("node3", "poweroff")
    assert slurm_cluster.wait_for(job) == "NODE_FAIL"
    slurm_cluster.node("node3", "poweron")
    wait_until(lambda: slurm_cluster.node_states()["node3"] == "idle")
    assert slurm_cluster.run("srun", "--nodelist=node3", "hostname") == "node3"


def test_a_job_outlives_its_slurmd_and_the_controller(slurm_cluster: Any, tmp_path: Path) -> None:
    job = slurm_cluster.sbatch("until [ -e go ]; do sleep 0.1; done", "--nodelist=node2", folder=tmp_path)
    slurm_cluster.wait_for(job, "RUNNING")
    slurm_cluster.node("node2", "kill-slurmd")
    slurm_cluster.controller("stop")
    slurm_cluster.node("node2", "start-slurmd")
    slurm_cluster.controller("start")
    assert slurm_cluster.state(job) == "RUNNING"
    (tmp_path / "go").touch()
    assert slurm_cluster.wait_for(job) == "COMPLETED"


def test_a_command_is_run_on_a_node(slurm_cluster: Any, slurm_script: Script) -> None:
    assert slurm_cluster.node("node2", "exec", "hostname") == "node2\n"
    assert slurm_script("node", slurm_cluster.folder, "node2", "exec", "sh", "-c", "exit 7").returncode == 7
    done = slurm_script("node", slurm_cluster.folder, "node9", "poweroff")
    assert (done.returncode, "node1, node2, node3, node4" in done.stderr) == (1, True)


@pytest.mark.long
def test_accounting_and_gpus(folder: Path, slurm_script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    done = slurm_script("up", folder, "--nodes=1", "--gpus=2", "--accounting")
    assert done.returncode == 0, done.stderr

    def run(*command: str) -> str:
        environment = {**os.environ, "SLURM_CONF": f"{folder}/etc/slurm.conf"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=900).stdout

    assert run("srun", "--gres=gpu:2", "printenv", "CUDA_VISIBLE_DEVICES") == "0,1\n"
    wait_until(lambda: run("sacct", "-nXP", "-o", "State,AllocTRES").startswith("COMPLETED|"))
    assert "gres/gpu=2" in run("sacct", "-nXP", "-o", "AllocTRES")
    monkeypatch.setenv("SLURM_CONF", f"{folder}/etc/slurm.conf")
    site._cpus_per_gpu.cache_clear()
    there = int(run("sinfo", "--noheader", "--partition=main", "--format=%c"))
    assert site._cpus_per_gpu("", 2) == min(CPUS_PER_GPU, there // 2)
    run("scontrol", "update", "PartitionName=main", "JobDefaults=DefCpuPerGPU=3")
    site._cpus_per_gpu.cache_clear()
    assert (site._cpus_per_gpu("", 2), site._cpus_per_gpu("main", 2)) == (3, 3)
    site._cpus_per_gpu.cache_clear()
