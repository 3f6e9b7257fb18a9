"""Whose a job is, by its id, and where its words lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import Job, as_recorded, backend_of, label_of, output_of
from yoloscale.runs.progress import Progress
from yoloscale.runs.queue_state import state_of


@pytest.mark.parametrize(
    ("job", "recorded", "backend", "label"),
    [
        ("41", "41", "slurm", "SLURM"),
        ("21_3", "21_3", "slurm", "SLURM"),
        ("slurm:41", "41", "slurm", "SLURM"),
        ("toy:41", "toy:41", "toy", "toy"),
    ],
)
def test_an_id_tells_whose_the_job_is(job: str, recorded: str, backend: str, label: str) -> None:
    assert (as_recorded(job), backend_of(job), label_of(job)) == (recorded, backend, label)


@pytest.mark.parametrize(("job", "name"), [("21_3", "slurm-21_3.out"), ("toy:41", "toy-41.out")])
def test_the_words_of_a_job_lie_beside_what_was_submitted(job: str, name: str, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert output_of(run, job) is None
    run.job.mkdir()
    (run.job / name).touch()
    assert output_of(run, job) == run.job / name
    assert output_of(run, None) is None


@pytest.mark.parametrize(("id_", "label"), [("41", "SLURM"), ("toy:41", "toy")])
def test_what_became_of_a_job_is_told_of_its_own_scheduler(id_: str, label: str) -> None:
    progress = Progress(job=id_, is_submitted=True)
    forgotten, over = state_of(progress, None, lives=None), state_of(progress, Job(id_, "TIMEOUT"), lives=None)
    again = state_of(progress, Job(id_, "PENDING"), lives=None)
    assert forgotten is not None
    assert over is not None
    assert again is not None
    assert str(forgotten.error).startswith(f"job {id_} is no longer known to {label}, and ")
    assert over.error == f"{label} ended job {id_}: TIMEOUT"
    assert again.phase == f"requeued by {label}; waiting in the queue"
