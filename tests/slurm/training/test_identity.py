"""A run's folder is removed while its job is in its grace time, and the name is used again by another job."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.config.freeze import load
from yoloscale.runs import events

pytestmark = pytest.mark.long

OLD = ("epochs=1000", "checkpoint.every_steps=1", "debug.trace=true", "seed=1")
NEW = ("epochs=2", "batch=16", "nbs=16", "debug.trace=true", "seed=2")


def test_a_job_in_its_grace_time_leaves_the_run_alone_that_has_its_name_by_now(account: Any) -> None:
    """Told to stop, frozen before it saves; it goes on while the new one trains, and is neither saved nor requeued."""
    account.train("alone", *NEW, nodes=1, ranks=2)
    old = account.train("again", *OLD, nodes=1, ranks=2)
    account.until("again", lambda: len(account.trace("again")) >= 3)
    ranks, launcher = processes(account)
    tell(account, "-STOP", launcher, *ranks)
    account.cluster.run("scancel", "--signal=USR1", old)  # as SLURM does before the time is over
    tell(account, "-TERM", *ranks)  # what its launcher would tell them
    shutil.rmtree(account.run("again").path)
    new = account.train("again", *NEW, nodes=1, ranks=2)
    account.until("again", lambda: len(account.trace("again")) >= 2)
    tell(account, "-CONT", *ranks, launcher)
    account.until_state("again", old, "FAILED")
    account.until_state("again", new, "COMPLETED")

    assert "Restarts=0" in account.cluster.run("scontrol", "show", "job", old)
    run = account.run("again")
    run_id = load(run.config).id
    history = lines_of(run)
    assert {event["id"] for event in history} == {run_id}
    assert {events.job_of(event) for event in events.history(run)} - {None} == {new}
    assert not [event for event in history if event["event"] in ("requeued", "warning", "preempted")]
    assert {json.loads(path.read_text())["id"] for path in run.checkpoints.glob("*/manifest.json")} == {run_id}
    assert {path.name for path in run.job.glob("slurm-*.out")} == {f"slurm-{new}.out"}
    account.until("alone", lambda: account.events("alone", "finished"))
    assert account.trace("again") == account.trace("alone")


def test_a_job_that_is_requeued_does_not_train_the_run_that_has_its_name_by_now(account: Any) -> None:
    old = account.stand_in("again", steps=5000)
    account.until_event("again", "training_started")
    folder = account.run("again").path
    folder.rename(folder.with_name("away"))
    account.until("away", lambda: account.state(old) == "FAILED")
    assert not folder.exists()
    account.type("yoloscale", "train", "name=again", "cluster=slurm", *account.small, "seed=9", "--prepare")
    before = contents(folder)
    account.cluster.run("scontrol", "requeue", old)
    account.until("away", lambda: "Restarts=1" in account.cluster.run("scontrol", "show", "job", old))
    account.until("away", lambda: account.state(old) == "FAILED")
    output = account.run("again").job / f"slurm-{old}.out"  # SLURM's own, by the path that was submitted
    assert output.read_text().count("belongs to another run by now") == 2, "the launcher, and the end of the script"
    output.unlink()
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def processes(account: Any) -> tuple[list[tuple[str, int]], tuple[str, int]]:
    """Host and pid of the ranks and of their launcher."""
    (started,) = account.events("again", "attempt_started")
    (launched,) = account.events("again", "attempt_launched")
    return [(each["host"], each["pid"]) for each in started["processes"]], (launched["host"], launched["pid"])


def tell(account: Any, signal: str, *found: tuple[str, int]) -> None:
    for host, pid in found:
        account.cluster.node(host, "exec", "kill", signal, str(pid))
