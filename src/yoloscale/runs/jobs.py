"""Which run a scheduler's job trains."""

from __future__ import annotations

import re
from collections.abc import Iterable

from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory


def is_job_id(text: str) -> bool:
    """Whether it reads as SLURM's id of a job, `41`, or of an element of an array, `21_3`."""
    return re.fullmatch(r"\d+(_\d+)?", text) is not None


def run_of(job: str, runs: Iterable[RunDirectory]) -> RunDirectory | None:
    """The run that went into this job last, numbers being used again at times; None if none of them did."""
    found = [(when, run) for run in runs if (when := _taken_at(job, run)) is not None]
    return max(found, key=lambda entry: entry[0])[1] if found else None


def _taken_at(job: str, run: RunDirectory) -> float | None:
    try:
        if job.encode() not in run.events.read_bytes():  # far quicker than reading the lines of a thousand runs
            return None
    except FileNotFoundError:
        return None
    times = [float(record.get("time", 0.0)) for record in events.history(run) if events.job_of(record) == job]
    return max(times, default=None)
