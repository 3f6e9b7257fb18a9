"""A job array whose elements all work on one run: who may lock it, and what ends all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.backends import registry, run_lock
from yoloscale.backends.run_lock import RunInUse, lock
from yoloscale.backends.slurm import cancel
from yoloscale.config.freeze import freeze
from yoloscale.config.schema import PredictConfig
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import Answer, Job


class Queue(Answer):
    """Every job waits, until SLURM is told to end it."""

    def __init__(self) -> None:
        self.state = "PENDING"

    def of(self, job: str) -> Job:
        return Job(job, self.state)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    run.job.mkdir()
    freeze(PredictConfig(id="aaaaaaaaaaaa"), run.config)
    events.append(run, events.Submitted(job="40_0"))
    return run


def test_each_element_may_lock_what_was_submitted_once(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ask", lambda jobs: Queue())
    monkeypatch.setattr(run_lock, "try_lock", lambda descriptor: True)
    lock(run, job="40_3").release()
    with pytest.raises(RunInUse):
        lock(run, job="41_3")
    with pytest.raises(RunInUse):
        lock(run)


def test_all_elements_are_taken_out_of_the_queue(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, told = Queue(), list[list[str]]()

    def call(words: list[str]) -> str:
        told.append(words)
        queue.state = "CANCELLED"
        return ""

    monkeypatch.setattr(cancel, "call", call)
    assert cancel.cancel_job(run, lambda jobs: queue, at_once=False, timeout_s=60)
    assert told == [["scancel", "40"]]
