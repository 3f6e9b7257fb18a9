"""What sbatch is given besides the script, and what is made of its words when it refuses one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from yoloscale.backends.base import JobRequest
from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.backends.slurm.sbatch_errors import problem_of
from yoloscale.backends.slurm.submit import environment_for, next_script


@pytest.mark.parametrize(
    ("said", "key", "words"),
    [
        (
            "sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: "
            "Invalid partition name specified",
            "cluster.partition",
            "invalid partition specified: x; Batch job submission failed: Invalid partition name specified",
        ),
        (
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
            "cluster.account",
            "Batch job submission failed: Invalid account or account/partition combination specified",
        ),
        ("sbatch: error: Batch job submission failed: Invalid qos specification", "cluster.qos", None),
        ("sbatch: error: Batch job submission failed: Invalid feature specification", "cluster.constraint", None),
        ("sbatch: error: Batch job submission failed: Requested reservation is invalid", "cluster.reservation", None),
        ("sbatch: error: Batch job submission failed: Job dependency problem", "cluster.dependency", None),
        ("sbatch: error: Invalid --time specification", "cluster.time", "Invalid --time specification"),
        ("sbatch: error: Batch job submission failed: Requested time limit is invalid", "cluster.time", None),
        ("sbatch: error: Batch job submission failed: Invalid node name specified", "cluster.exclude", None),
        ("sbatch: error: Invalid --mem specification", "cluster.mem", None),
        (
            "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: "
            "Requested node configuration is not available",
            "cluster.mem",
            None,
        ),
        (
            "sbatch: error: Batch job submission failed: Invalid generic resource (gres) specification",
            "cluster.gpus_per_node",
            None,
        ),
        (
            "sbatch: error: Batch job submission failed: Requested node configuration is not available",
            "cluster.nodes",
            None,
        ),
        ("sbatch: error: Batch job submission failed: Node count specification invalid", "cluster.nodes", None),
        ("sbatch: error: Batch job submission failed: More processors requested than permitted", "cluster.nodes", None),
        (
            "sbatch: unrecognized option '--nope=1'\nTry \"sbatch --help\" for more information",
            "cluster.sbatch",
            "unrecognized option '--nope=1'; Try \"sbatch --help\" for more information",
        ),
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "sbatch",
            None,
        ),
        (
            "sbatch: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\nsbatch: error: fetch_config: "
            "DNS SRV lookup failed\nsbatch: fatal: Could not establish a configuration source",
            "sbatch",
            "resolve_ctls_from_dns_srv: res_nsearch error: Unknown host; fetch_config: DNS SRV lookup failed; "
            "Could not establish a configuration source",
        ),
        ("sbatch: error: something new\nsbatch: error: something new", "sbatch", "something new"),
    ],
)
def test_words_of_sbatch(said: str, key: str, words: str | None) -> None:
    problem = problem_of(said)
    assert problem.key == key
    assert problem.found == (words or said.removeprefix("sbatch: error: ").replace("\nsbatch: error: ", "; "))
    assert problem.instead


def test_an_sbatch_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = tmp_path / "sbatch"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SlurmError) as late:
        call(["sbatch"], timeout_s=0.2)
    problem = problem_of(late.value.said)
    assert problem.key == "sbatch"
    assert "squeue --me" in problem.instead


def test_the_sites_settings_stay_where_the_script_says_nothing(job: Callable[..., JobRequest]) -> None:
    ours = job("cluster=slurm device=cpu cluster.time=5 cluster.mem=1G cluster.sbatch.gres=nvme:1")
    said = dict.fromkeys(("SBATCH_TIMELIMIT", "SBATCH_MEM_PER_NODE", "SBATCH_JOB_NAME", "SBATCH_GRES"), "theirs")
    another = dict.fromkeys(("SBATCH_ARRAY_INX", "SBATCH_NO_REQUEUE", "SBATCH_WAIT"), "theirs")
    stays = {"SBATCH_PARTITION": "gpu", "SBATCH_ACCOUNT": "vision", "SLURM_CPU_BIND": "none", "WANDB_API_KEY": "x"}
    assert environment_for(ours, {**said, **another, **stays}) == stays


@pytest.mark.parametrize("mark", ["SLURM_JOB_ID", "SLURM_JOB_NODELIST"])
def test_nothing_of_an_outer_job_is_left(job: Callable[..., JobRequest], mark: str) -> None:
    outer = {mark: "1", "SLURM_NTASKS": "9", "SLURM_CPU_BIND": "none", "SLURM_CONF": "/etc/slurm.conf", "HOME": "/root"}
    found = environment_for(job("cluster=slurm device=cpu"), outer)
    assert found == {"SLURM_CONF": "/etc/slurm.conf", "HOME": "/root"}


def test_every_submission_keeps_its_script(tmp_path: Path) -> None:
    for number in (1, 2):
        assert next_script(tmp_path).name == f"submit-{number}.sbatch"
        next_script(tmp_path).touch()
