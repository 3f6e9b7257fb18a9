"""What a person reads when SLURM takes a job, and when it does not; with real daemons."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.slurm.conftest import SlurmCluster

import yoloscale
from yoloscale.config.compose.sbatch_options import INSTEAD, instead_of
from yoloscale.errors import ConfigError

SOURCE = Path(__file__).parents[2] / "src"
SMALL = ("data.shapes.train_images=8", "data.shapes.val_images=8", "data.shapes.image_size=64")

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def train(tmp_path: Path, cache: Path) -> Typed:
    """`train("name=x", …)`: yoloscale train on SLURM, in an empty folder."""

    def typed(*words: str, environment: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "yoloscale", "train", "cluster=slurm", "device=cpu", *SMALL, *words]
        variables = {**environment, "PYTHONPATH": str(SOURCE), "YOLOSCALE_CACHE": str(cache)}
        return subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=900, check=False
        )

    return typed


@pytest.mark.usefixtures("slurm_cluster")
@pytest.mark.parametrize(
    ("words", "key", "said"),
    [
        (
            ["cluster.partition=nope"],
            "cluster.partition",
            "invalid partition specified: nope; Batch job submission failed",
        ),
        (["cluster.nodes=99", "batch=198"], "cluster.nodes", "a job in partition main has 4 at most"),
        (["cluster.constraint=nope"], "cluster.constraint", "Invalid feature specification"),
        (["cluster.sbatch.hold=1"], "cluster.sbatch", "option '--hold' doesn't allow an argument"),
    ],
)
def test_a_refused_job_is_one_message_in_its_own_words(
    train: Typed, tmp_path: Path, words: list[str], key: str, said: str
) -> None:
    done = train("name=run", *words)
    assert (done.returncode, done.stdout) == (2, "")
    told = done.stderr[done.stderr.index("There is a problem:") :]  # below a line on the images, if they are rendered
    problem, instead, *rest = told.splitlines()[1:]
    assert problem.startswith(f"  {key}: ")
    assert said in problem
    assert "sbatch: " not in problem.partition(": ")[2]
    assert instead.strip()
    assert rest == []
    assert not (tmp_path / "runs" / "run").exists()


def test_a_run_that_was_there_before_stays(slurm_cluster: SlurmCluster, train: Typed, tmp_path: Path) -> None:
    assert train("name=run", "--prepare").returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "runs" / "run").rglob("*") if path.is_file()}
    done = train("name=run", "cluster.partition=nope")
    assert done.returncode == 2
    assert "invalid partition specified: nope" in done.stderr
    run = tmp_path / "runs" / "run"
    assert (run / "config.yaml").exists()
    assert not list((run / "job").glob("*.sbatch"))
    assert {path for path in before if not path.exists()} == set()


@pytest.mark.long
def test_a_sweep_that_is_refused_stays_only_if_it_was_there_before(
    slurm_cluster: SlurmCluster, train: Typed, tmp_path: Path
) -> None:
    refused, prepared = ("-m", "seed=1,2", "cluster.partition=nope"), ("-m", "seed=1,2", "name=there")
    assert train(*prepared, "--prepare").returncode == 0
    for name in ([], ["name=new"], ["name=there"]):
        done = train(*refused, *name)
        assert done.returncode == 2
        assert "invalid partition specified: nope" in done.stderr
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["there"]
    assert {path.name for path in (tmp_path / "runs" / "there").iterdir()} == {"job", "seed=1", "seed=2", "sweep.yaml"}


@pytest.mark.long
def test_no_controller_is_said_and_nothing_stays(slurm_cluster: SlurmCluster, train: Typed, tmp_path: Path) -> None:
    slurm_cluster.controller("stop")
    try:
        done = train("name=run")
    finally:
        slurm_cluster.controller("start")
    assert (done.returncode, done.stdout) == (2, "")
    assert "  sbatch: Batch job submission failed: Unable to contact slurm controller" in done.stderr
    assert "SLURM is down" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs" / "run").exists()


def test_without_sbatch_the_way_out_is_told(train: Typed, tmp_path: Path) -> None:
    done = train("name=run", environment={**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == 2
    assert "  sbatch: there is no sbatch on this machine\n      type it on a login node; --dry-run" in done.stderr
    assert not (tmp_path / "runs" / "run").exists()


def test_settings_of_the_site_fill_gaps_and_do_not_win(slurm_cluster: SlurmCluster, train: Typed) -> None:
    site = {"SBATCH_PARTITION": "low", "SBATCH_JOB_NAME": "theirs", "SBATCH_TIMELIMIT": "7", "SBATCH_ARRAY_INX": "0-3"}
    done = train("name=ours", "cluster.time=5", "cluster.sbatch.hold=true", environment={**os.environ, **site})
    assert done.returncode == 0, done.stderr
    assert slurm_cluster.run("squeue", "--noheader", "--format=%j %P %l") == "ours low 5:00"


def test_a_job_submitted_within_a_job_is_one_of_its_own(
    slurm_cluster: SlurmCluster, train: Typed, tmp_path: Path
) -> None:
    outer = {"SLURM_JOBID": "77", "SLURM_RESTART_COUNT": "77", "SLURM_GRES": "77"}
    stub = tmp_path / "stub"
    stub.write_text('#!/bin/sh\n/usr/bin/env > "${0%/*}/env-$2"\n')
    stub.chmod(0o755)
    done = train("name=run", f"cluster.python={stub}", environment={**os.environ, **outer})
    assert done.returncode == 0, done.stderr
    job = int(done.stdout.partition("job   ")[2].split()[0])
    assert slurm_cluster.wait_for(job) == "COMPLETED"
    seen = (tmp_path / "env-yoloscale.backends.slurm.node").read_text().splitlines()
    assert f"SLURM_JOB_ID={job}" in seen
    assert [line for line in seen if line.startswith("SLURM_") and line.endswith("=77")] == []


def test_from_python_a_run_is_submitted_and_not_trained_on_the_login_node(
    slurm_cluster: SlurmCluster, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLOSCALE_CACHE", str(cache))
    words = ("cluster=slurm", "device=cpu", "cluster.sbatch.hold=true", *SMALL)
    run = yoloscale.train(*words, name="it's", batch=4, **{"cluster.nodes": 2})
    found = run.status()
    assert (found.state, found.phase, found.attempt) == ("pending", "waiting in the queue: JobHeldUser", 0)
    assert slurm_cluster.state(int(str(found.job))) == "PENDING"
    assert run.cancel()
    run.resume("cluster.partition=low")
    again = run.status()
    assert again.job != found.job
    assert (again.state, slurm_cluster.state(int(str(again.job)))) == ("pending", "PENDING")
    unnamed = yoloscale.train(*words)
    script = (unnamed.path / "job" / "submit-1.sbatch").read_text()
    assert f" name={unnamed.name} " in script, "a job that has to make the folder makes the same one"
    with pytest.raises(ConfigError, match="invalid partition specified: nope"):
        yoloscale.train(*words, name="other", **{"cluster.partition": "nope"})
    assert not (tmp_path / "runs" / "other").exists()


def test_every_option_of_the_installed_sbatch_is_passed_through_or_answered(slurm_cluster: SlurmCluster) -> None:
    shown = slurm_cluster.run("sbatch", "--help")
    options = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", shown))
    assert len(options) > 50
    unanswered = {option for option in options if option not in INSTEAD and instead_of(option) is None}
    assert unanswered <= {"ignore-pbs", "uid", "gid", "verbose"}, "root's, and another scheduler's"
