"""`yoloscale train`, `cancel` and `resume` as a person types them, with real ranks on two images a step."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yoloscale.backends.slurm import own_job
from yoloscale.backends.slurm.own_job import OwnJob
from yoloscale.cli import train

Yoloscale = Callable[..., "subprocess.CompletedProcess[str]"]

SMOKE = ["experiment=smoke", "device=cpu", "cluster.procs_per_node=2"]


def status_of(yoloscale: Yoloscale, name: str) -> dict[str, Any]:
    return json.loads(yoloscale("status", name, "-o", "json").stdout)


def test_a_run_from_start_to_end_and_once_only(yoloscale: Yoloscale, tmp_path: Path) -> None:
    name = '"a" run; $(touch x)'
    done = yoloscale("train", *SMOKE, f"name={name}", timeout_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "global 8 = 2 ranks × 4" in done.stdout
    assert done.stdout.count("epoch 2/2") == 1
    assert "is finished" in done.stdout
    run = tmp_path / "work" / "runs" / name
    assert (run / "weights" / "best.pt").exists()
    found = status_of(yoloscale, name)
    assert (found["state"], found["epoch"]) == ("finished", 2)
    again = yoloscale("train", *SMOKE, f"name={name}")
    assert again.returncode == 2
    assert "give another name=" in again.stderr
    assert [entry.name for entry in (tmp_path / "work").iterdir()] == ["runs"]


@pytest.mark.long
def test_detached_cancelled_resumed(yoloscale: Yoloscale, tmp_path: Path) -> None:
    started = yoloscale("train", *SMOKE, "epochs=10", "name=long", "--detach", timeout_s=200)
    assert started.returncode == 0, started.stdout + started.stderr
    deadline = time.monotonic() + 600
    while status_of(yoloscale, "long")["epoch"] < 1:
        assert status_of(yoloscale, "long")["state"] in ("pending", "running")
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert yoloscale("train", *SMOKE, "epochs=10", "name=long").returncode == 2, "it is in use"
    cancelled = yoloscale("cancel", "long", "-o", "json")
    assert cancelled.returncode == 0
    assert json.loads(cancelled.stdout)["state"] == "cancelled"
    stopped_at = status_of(yoloscale, "long")["epoch"]
    resumed = yoloscale("resume", "long", timeout_s=200)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "(attempt 2)" in resumed.stdout
    assert f"from epoch {stopped_at}" in resumed.stdout or f"from epoch {stopped_at + 1}" in resumed.stdout
    assert status_of(yoloscale, "long")["state"] == "finished"


def test_a_script_that_is_printed_in_a_job_asks_for_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its own line, which makes the run in the job to come, knows nothing of this one."""
    monkeypatch.setattr(own_job, "own_job", lambda: OwnJob("11", nodes=2, gpus=4, cpus=8))
    monkeypatch.chdir(tmp_path)
    assert train.main(["cluster=slurm", "experiment=smoke", "name=a", "--dry-run"]) == 0
    script = capfd.readouterr().out
    assert "#SBATCH --nodes=1\n" in script
    assert "gpus-per-node" not in script
