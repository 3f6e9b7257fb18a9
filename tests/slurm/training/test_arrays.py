"""Sweeps: a job array whose elements are runs like any other."""

from __future__ import annotations

import json
import resource
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import SweepDirectory

WHERE = ("cluster=slurm", "cluster.procs_per_node=1", "cluster.cpus_per_task=1", "cluster.max_restarts=0", "device=cpu")
UNDER_WAY = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING"}


def sweep(
    account: Any,
    *settings: str,
    scripts: dict[int, dict[str, Any]] | None = None,
    is_submitted: bool = True,
    **script: Any,
) -> Any:
    """Freeze a sweep of stand-ins, say what each does, and submit it; the sweep's folder."""
    account.with_stand_ins()
    words = ("yoloscale", "train", "-m", "name=points", *WHERE, *settings)
    account.type(*words, "--prepare")
    found = SweepDirectory(account.folder / "runs" / "points")
    for index, run in enumerate(found.runs()):
        (run.path / "standin.json").write_text(json.dumps({**script, **(scripts or {}).get(index, {})}))
    if is_submitted:
        account.type(*words)
    return found


def array_of(run: RunDirectory) -> str:
    submitted = [record for record in lines_of(run) if record["event"] == "submitted"]
    return str(submitted[-1]["job"]).partition("_")[0]


def states(account: Any, array: str) -> Counter[str]:
    shown = account.cluster.run("squeue", "--noheader", "--array", "--states=all", f"--jobs={array}", "--format=%T")
    return Counter(shown.split())


@pytest.mark.long
def test_never_more_than_two_run_and_a_failed_one_is_submitted_alone(account: Any) -> None:
    broken = {"break": {"rank": 0, "how": "raise", "step": 3, "attempts": [1]}}
    points = sweep(account, "seed=range(0,8)", "cluster.array_parallelism=2", steps=10, step_s=0.1, scripts={3: broken})
    runs = points.runs()
    array = array_of(runs[0])
    assert [record["job"] for run in runs for record in lines_of(run)[:1]] == [f"{array}_{i}" for i in range(8)]
    most, seen = 0, Counter[str]()
    while seen["COMPLETED"] + seen["FAILED"] < 8:
        seen = states(account, array)
        most = max(most, seen["RUNNING"] + seen["COMPLETING"])
    assert most == 2
    assert seen == {"COMPLETED": 7, "FAILED": 1}
    told = account.type("yoloscale", "status", "points")
    assert "8 points: 3 finished, 1 failed, 4 finished" not in told
    assert "7 finished" in told
    assert "1 failed" in told
    assert "--failed" in told
    account.type("yoloscale", "resume", "points", "--failed")
    again = array_of(runs[3])
    assert again != array
    account.until_state("points", f"{again}_3", "COMPLETED")
    assert states(account, again) == {"COMPLETED": 1}
    assert Counter(found["state"] for found in shown(account)) == {"finished": 8}
    assert "nothing left to submit" in account.type("yoloscale", "resume", "points", code=2)


def shown(account: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(account.type("yoloscale", "status", "points", "-o", "json"))
    return found


@pytest.mark.long
def test_an_element_that_is_requeued_goes_on_by_itself_and_alone(account: Any) -> None:
    """The last element of an array has the array's own number, by which SLURM would take all of them."""
    points = sweep(account, "seed=1,2", steps=5000, until="go", save_every=5)
    runs = points.runs()
    for run in runs:
        account.until("points", lambda run=run: any(run.checkpoints.glob("step-*")))
    array = array_of(runs[1])
    said = account.type("yoloscale", "interrupt", f"{array}_1", "--usr1")
    assert "SIGUSR1 sent to rank 0 on node" in said
    account.until("points", lambda: any(record["event"] == "requeued" for record in lines_of(runs[1])))
    for run in runs:
        (run.path / "go").touch()
    account.until("points", lambda: states(account, array) == {"COMPLETED": 2}, 150)
    requeued = [[record["job"] for record in lines_of(run) if record["event"] == "requeued"] for run in runs]
    assert requeued == [[], [f"{array}_1"]]


@pytest.mark.long
def test_after_a_failure_no_other_starts_and_what_is_killed_goes_on_with_resume(account: Any) -> None:
    """Six points on two places: the first fails, the second is ended half-way; each of the others trains once."""
    broken = {"break": {"rank": 0, "how": "raise", "step": 3, "attempts": [1]}}
    scripts = {0: broken, 1: {"steps": 5000, "save_every": 5}}
    points = sweep(
        account, "seed=range(0,6)", "cluster.array_parallelism=2", "sweep.max_failures=1", steps=10, scripts=scripts
    )
    runs = points.runs()
    array = array_of(runs[1])
    account.until("points", lambda: any(runs[1].checkpoints.glob("step-*")))
    account.until("points", lambda: sum(states(account, array)[word] for word in ("PENDING", "RUNNING")) <= 1)
    output = (points.job / f"slurm-{array}_5.out").read_text()
    assert "sweep.max_failures: 1, and 1 failed, the first: seed=0" in output
    account.cluster.run("scancel", f"{array}_1")
    account.until("points", lambda: shown(account)[1]["state"] == "cancelled")
    assert [entry["state"] for entry in shown(account)] == ["failed"] + ["cancelled"] * 5
    assert not any(record["event"] == "attempt_launched" for run in runs[2:] for record in lines_of(run))
    saved = max(int(path.name[5:]) for path in runs[1].checkpoints.glob("step-*"))
    (runs[1].path / "standin.json").write_text(json.dumps({"steps": saved + 5}))
    account.type("yoloscale", "resume", "points")
    expected = ["failed"] + ["finished"] * 5
    account.until("points", lambda: [entry["state"] for entry in shown(account)] == expected, 150)
    for run in runs[1:]:
        steps = [record["step"] for record in jsonl.read(run.metrics) if record.get("kind") == "step"]
        assert len([record for record in lines_of(run) if record["event"] == "finished"]) == 1
        assert len(steps) == len(set(steps)), f"{run.name} trained steps twice"


@pytest.mark.long
def test_the_same_command_goes_on_after_a_killed_submission_and_a_killed_array(account: Any, tmp_path: Path) -> None:
    """The command dies when SLURM has the array and nobody has noted it; then both arrays are ended half-way."""
    varied = ("optimizer=SGD", "lr0=0.01,0.02", "momentum=0.8,0.9", "seed=1,2", "cluster.array_parallelism=2")
    points = sweep(account, *varied, steps=30, step_s=0.1, save_every=5, is_submitted=False)
    runs, words = points.runs(), ("yoloscale", "train", "-m", "name=points", *WHERE, *varied)
    assert len(runs) == 8
    deadly = tmp_path / "bin" / "sbatch"
    deadly.parent.mkdir()
    deadly.write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@" > {tmp_path}/array\nkill -9 $PPID\n')
    deadly.chmod(0o755)
    path = account.environment["PATH"]
    account.environment["PATH"] = f"{deadly.parent}:{path}"
    account.type(*words, code=-signal.SIGKILL)
    account.environment["PATH"] = path
    unknown = (tmp_path / "array").read_text().strip()
    assert not any(record["event"] == "submitted" for run in runs for record in lines_of(run))
    account.type(*words)
    known = array_of(runs[-1])
    assert known != unknown
    account.until("points", lambda: Counter(entry["state"] for entry in shown(account))["finished"] >= 2)
    account.cluster.run("scancel", unknown, known)
    account.until("points", lambda: not (states(account, unknown) + states(account, known)).keys() & UNDER_WAY)
    assert 2 <= Counter(entry["state"] for entry in shown(account))["finished"] < 8
    account.type(*words)
    account.until("points", lambda: Counter(entry["state"] for entry in shown(account)) == {"finished": 8})
    assert "there is nothing left to submit" in account.type(*words, code=2)
    for run in runs:
        steps = [record["step"] for record in jsonl.read(run.metrics) if record.get("kind") == "step"]
        assert len([record for record in lines_of(run) if record["event"] == "finished"]) == 1
        stops = [record["step"] for record in lines_of(run) if record["event"] == "preempted"]
        at_stops = [step for step in stops if step > 0]  # stand-ins write no line for it; 0: stopped before the first
        assert sorted(steps + at_stops) == list(range(1, 31)), f"{run.name}: each step once"


def test_what_was_never_submitted_is_not_cancelled(account: Any) -> None:
    account.type("yoloscale", "train", "-m", "name=points", *WHERE, "seed=1,2", "--prepare")
    assert "nothing of it is queued or runs" in account.type("yoloscale", "cancel", "points", code=2)
    assert [found["state"] for found in shown(account)] == ["pending"] * 2


@pytest.mark.long
def test_cancel_ends_those_that_wait_and_those_that_train(account: Any) -> None:
    points = sweep(account, "seed=1,2,3", "cluster.array_parallelism=1", steps=5000)
    runs = points.runs()
    account.until("points", lambda: any(e["event"] == "training_started" for e in lines_of(runs[0])))
    said = account.type("yoloscale", "cancel", "points", timeout_s=150)
    assert "3 of 3 points stopped" in said
    assert [found["state"] for found in shown(account)] == ["cancelled"] * 3
    account.until("points", lambda: set(states(account, array_of(runs[0]))) == {"CANCELLED"})  # COMPLETING before that
    assert any(runs[0].checkpoints.glob("step-*")), "its ranks saved"


def cpu_s(typed: Callable[[], Any]) -> float:
    """CPU seconds of a command: whatever else this machine does, they are as many, or all commands take more."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    typed()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime


def test_a_thousand_points_are_one_call_and_take_seconds(account: Any, tmp_path: Path) -> None:
    """`sbatch` stands in for itself to be counted: 1,000 jobs would keep the cluster busy for an hour."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    calls = tmp_path / "calls"
    (bin_folder / "sbatch").write_text(f'#!/bin/sh\necho "$@" >> {calls}\necho 4711\n')
    (bin_folder / "sbatch").chmod(0o755)
    account.environment["PATH"] = f"{bin_folder}:{account.environment['PATH']}"
    alone_s = cpu_s(lambda: account.type("yoloscale", "train", "name=alone", *WHERE, "--dry-run"))
    all_s = cpu_s(lambda: account.type("yoloscale", "train", "-m", "name=points", *WHERE, "seed=range(0,1000)"))
    assert calls.read_text().count("\n") == 1
    script = (account.folder / "runs" / "points" / "job" / "submit-1.sbatch").read_text()
    assert "#SBATCH --array=0-999\n" in script
    assert all_s < 30 * alone_s  # 11 seen: each point costs a hundredth of what a command does
