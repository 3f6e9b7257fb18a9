"""Sweeps on this machine with real training: killed half-way, every point ends once, as if nothing had been."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.backends.status import statuses
from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep

POINT = (
    *("data.shapes.train_images=32", "data.shapes.val_images=16", "data.shapes.image_size=96", "data=shapes"),
    *("imgsz=64", "batch=16", "nbs=16", "epochs=3", "warmup_epochs=1", "workers=0", "plots=false", "debug.trace=true"),
    *("optimizer=AdamW", "model=yolo26n.yaml", "device=cpu", "cluster.procs_per_node=1", "cluster.threads=1"),
)
SWEEP = ("train", "-m", "name=cube", *POINT, "lr0=0.001,0.01", "momentum=0.8,0.9", "seed=0,1")
STEPS = 6


def events_of(run: RunDirectory, name: str) -> list[dict[str, Any]]:
    return [record for record in lines_of(run) if record["event"] == name]


def steps_of(run: RunDirectory) -> list[int]:
    return [record["step"] for record in jsonl.read(run.trace)]


def until(is_so: Callable[[], Any], process: Any, timeout_s: float = 600) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.long
def test_killed_half_way_and_started_again_every_point_ends_once(yoloscale: Any) -> None:
    first = yoloscale.start(*SWEEP)
    sweep = SweepDirectory(yoloscale.run_of("cube").path)
    until(lambda: is_sweep(sweep.path), first)
    runs = sweep.runs()
    assert len(runs) == 8

    def is_half_way() -> bool:
        over = sum(run.result.exists() for run in runs)
        return over >= 3 and any(0 < len(steps_of(run)) <= STEPS // 2 for run in runs if not run.result.exists())

    until(is_half_way, first)
    first.kill()
    first.communicate()
    finished_before = [run for run in runs if run.result.exists()]
    again = yoloscale.start(*SWEEP)
    output, _ = again.communicate(timeout=900)
    assert again.returncode == 0, output
    assert {found.state for found in statuses(runs)} == {"finished"}
    for run in runs:
        assert steps_of(run) == list(range(1, STEPS + 1)), run.name
        assert len(events_of(run, "finished")) == 1
    assert all(len(events_of(run, "attempt_launched")) == 1 for run in finished_before)
    stopped = [run for run in runs if events_of(run, "preempted")]
    assert stopped, "the ranks saved when their launcher's launcher was killed"
    assert [len(events_of(run, "attempt_launched")) for run in stopped] == [2] * len(stopped)
    typed = next(point.overrides for point in sweep.points() if point.name == stopped[0].name)
    alone = yoloscale.start("train", "name=alone", *POINT, *typed)
    output, _ = alone.communicate(timeout=900)
    assert alone.returncode == 0, output
    assert list(jsonl.read(yoloscale.run_of("alone").trace)) == list(jsonl.read(stopped[0].trace))
