"""A sweep on this machine within somebody's own SLURM job: it stops as a whole before the job's end."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.agent.job_end import JobEnd
from yoloscale.backends.slurm import own_job
from yoloscale.backends.status import statuses
from yoloscale.runs import jsonl
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep import local, pool
from yoloscale.sweep.grid import GridSource
from yoloscale.sweep.pool import PoolObserver, run_pool
from yoloscale.sweep.slots import Slots

from .conftest import Frozen

PATH = os.pathsep.join((str(Path(__file__).parent / "standin"), str(Path(__file__).parents[2] / "src")))
TWO = Slots(2, 1, 1, None)


@pytest.fixture
def sweep(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> SweepDirectory:
    """Three points that train for as long as they may."""
    monkeypatch.setattr(pool, "LAUNCHER", "standin_supervise")
    monkeypatch.setenv("SLURMD_NODENAME", "node1")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PYTHONPATH", PATH)
    words = ("name=s", "seed=range(0,3)", "device=cpu", "cluster.procs_per_node=1", "cluster.time=1")
    made = frozen(*words).directory
    for run in made.runs():
        (run.path / "standin.json").write_text(json.dumps({"steps": 1000}))
    return made


def train(sweep: SweepDirectory, said: list[str]) -> int:
    end = local.run_sweep(sweep, GridSource(sweep.runs()), PoolObserver(say=said.append), TWO)
    return local.exit_code_of(end, statuses(sweep.runs()))


def test_at_the_end_of_the_job_no_point_starts(sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_job, "left_s", lambda: 0.0)
    said = list[str]()
    assert train(sweep, said) == 75
    assert [lines_of(run) for run in sweep.runs()] == [[]] * 3
    assert said[-1] == "the SLURM job ends soon: all points save a checkpoint and stop, and no other starts"


def test_before_the_end_of_the_job_those_that_train_save_and_no_other_starts(sweep: SweepDirectory) -> None:
    class WhenTwoTrain(JobEnd):
        def is_near(self) -> bool:
            return all(any(jsonl.read(run.trace)) for run in sweep.runs()[:2])

    end = run_pool(GridSource(sweep.runs()), TWO, PoolObserver(), job_end=WhenTwoTrain(120.0, lambda: None))
    found = statuses(sweep.runs())
    assert [each.state for each in found] == ["preempted", "preempted", "pending"]
    assert local.exit_code_of(end, found) == 75


def test_the_time_of_a_point_is_none_of_the_sweep(sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = list[JobEnd]()

    def note(*_: Any, job_end: JobEnd, **others: Any) -> pool.PoolEnd:
        ends.append(job_end)
        return pool.PoolEnd()

    monkeypatch.setattr(local, "run_pool", note)
    for left_s in (None, 7200.0):
        monkeypatch.setattr(own_job, "left_s", lambda left_s=left_s: left_s)
        train(sweep, [])
    assert [end.left_s for end in ends] == [math.inf, 7200.0]  # cluster.time of the points is a minute
    assert ends[1].stop_at == pytest.approx(time.time() + 7080, abs=60)
