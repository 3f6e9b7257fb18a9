"""What the script of a SLURM job, srun and SLURM itself have said: beside the script that was submitted."""

from __future__ import annotations

from pathlib import Path

from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import sweep_of


def output_of(run: RunDirectory, job: str | None) -> Path | None:
    """The output of a run's job; None if there is none, as before the job starts, or where a site puts it elsewhere."""
    if job is None:
        return None
    sweep = sweep_of(run)
    folders = [run.job] if sweep is None else [run.job, sweep.job]  # that of an array lies with the sweep
    backend, _, number = job.rpartition(":")
    name = f"{backend or 'slurm'}-{number}.out"
    return next((path for folder in folders if (path := folder / name).is_file()), None)
