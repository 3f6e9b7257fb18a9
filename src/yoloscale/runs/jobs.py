"""Which run a scheduler's job trains."""

from __future__ import annotations

import re
from collections.abc import Iterable

from yoloscale.runs import event_files, events
from yoloscale.runs.directory import RunDirectory


def without_scheduler(text: str) -> str:
    """`slurm:41`, as ids that name their scheduler are written, without that name."""
    return text.removeprefix("slurm:")


def is_job_id(text: str) -> bool:
    """Whether it reads as SLURM's id of a job, `41`, or of an element of an array, `21_3`."""
    return re.fullmatch(r"\d+(_\d+)?", text) is not None


def run_of(job: str, runs: Iterable[RunDirectory]) -> RunDirectory | None:
    """The run that went into this job last, numbers being used again at times; None if none of them did."""
    return _newest(re.compile(re.escape(job)), runs)


def run_in_array(array: str, runs: Iterable[RunDirectory]) -> RunDirectory | None:
    """The run that went last into an element of this array; None if none of them did."""
    return _newest(re.compile(rf"{re.escape(array)}_\d+"), runs)


def _newest(job: re.Pattern[str], runs: Iterable[RunDirectory]) -> RunDirectory | None:
    found = [(when, run) for run in runs if (when := _taken_at(job, run)) is not None]
    return max(found, key=lambda entry: entry[0])[1] if found else None


def _taken_at(job: re.Pattern[str], run: RunDirectory) -> float | None:
    if not any(job.search(content.decode(errors="replace")) for content in event_files.contents(run)):
        return None  # far quicker than reading the lines of a thousand runs
    records = events.history(run)
    times = [float(record.get("time", 0.0)) for record in records if job.fullmatch(events.job_of(record) or "")]
    return max(times, default=None)
