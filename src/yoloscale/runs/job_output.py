"""What a job has said that is no rank's: a file beside what was submitted."""

from __future__ import annotations

from pathlib import Path

from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import backend_of
from yoloscale.runs.sweep_directory import sweep_of


def output_of(run: RunDirectory, job: str | None) -> Path | None:
    """The output of a run's job; None if there is none, as before the job starts, or where a site puts it elsewhere."""
    if job is None:
        return None
    sweep = sweep_of(run)
    folders = [run.job] if sweep is None else [run.job, sweep.job]  # that of an array lies with the sweep
    name = f"{backend_of(job)}-{job.rpartition(':')[2]}.out"
    return next((path for folder in folders if (path := folder / name).is_file()), None)
