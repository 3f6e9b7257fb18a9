"""Jobs of schedulers: whose they are by their ids, which run they train, and what was said of them when asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.sweep_directory import sweep_of

UNNAMED = "slurm"  # the back end whose job ids are on record without its name


def backend_of(job: str) -> str:
    """The name of the back end that has a job: `slurm` of `41` and of `slurm:41`."""
    name, colon, _ = job.partition(":")
    return name if colon else UNNAMED


def label_of(job: str) -> str:
    """What people call the scheduler that has a job."""
    name = backend_of(job)
    return "SLURM" if name == UNNAMED else name


def as_recorded(job: str) -> str:
    """A job's id as it is on record, however it was typed: `41` for `slurm:41`."""
    return job.removeprefix(f"{UNNAMED}:")


def is_job_id(text: str) -> bool:
    """Whether it reads as the id of a job, `41` or `NAME:41`, or of an element of an array, `21_3`."""
    return re.fullmatch(r"([a-z]+:)?\d+(_\d+)?", text) is not None


def run_of(job: str, runs: Iterable[RunDirectory]) -> RunDirectory | None:
    """The run that went into this job last, numbers being used again at times; None if none of them did."""
    return _newest(re.compile(re.escape(job)), runs)


def run_in_array(array: str, runs: Iterable[RunDirectory]) -> RunDirectory | None:
    """The run that went last into an element of this array; None if none of them did."""
    return _newest(re.compile(rf"{re.escape(array)}_\d+"), runs)


def _newest(job: re.Pattern[str], runs: Iterable[RunDirectory]) -> RunDirectory | None:
    dated = [(when, run) for run in runs if (when := _taken_at(job, run)) is not None]
    return max(dated, key=lambda entry: entry[0])[1] if dated else None


def _taken_at(job: re.Pattern[str], run: RunDirectory) -> float | None:
    if not any(job.search(content.decode(errors="replace")) for content in events.contents(run)):
        return None  # far quicker than reading the lines of a thousand runs
    times = [event.time for event in events.history(run) if job.fullmatch(events.job_of(event) or "")]
    return max(times, default=None)


def output_of(run: RunDirectory, job: str | None) -> Path | None:
    """The output of a run's job; None if there is none, as before the job starts, or where a site puts it elsewhere."""
    if job is None:
        return None
    sweep = sweep_of(run)
    folders = [run.job] if sweep is None else [run.job, sweep.job]  # that of an array lies with the sweep
    name = f"{backend_of(job)}-{job.rpartition(':')[2]}.out"
    return next((path for folder in folders if (path := folder / name).is_file()), None)


_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
_OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL")
_OVER_RARELY = ("PREEMPTED", "LAUNCH_FAILED", "REVOKED")  # before a requeue, or where a job went to another cluster


@dataclass(frozen=True)
class Job:
    """A job as its scheduler sees it; `state` in SLURM's words, like RUNNING or `CANCELLED by 1000`."""

    id: str
    state: str
    reason: str = ""  # why it waits, or why it ended
    nodes: str = ""  # hosts as the scheduler lists them, `node[1-4]`
    starts_at: float | None = None  # when a waiting job is expected to start; seconds since the epoch

    @property
    def word(self) -> str:
        """Its state in one word."""
        return self.state.partition(" ")[0]

    @property
    def is_waiting(self) -> bool:
        """Whether it has no nodes, and will get some."""
        return self.word in _WAITING

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        return self.word in (*_OVER, *_OVER_RARELY)


@dataclass(frozen=True)
class NoAnswer:
    """No answer; `words` are the scheduler's own, empty where nobody was to be asked."""

    words: str = ""
    is_here: bool = True  # the scheduler can be asked from this machine


@dataclass(frozen=True)
class Answer:
    """What was said of some jobs."""

    jobs: Mapping[str, Job | NoAnswer] = field(default_factory=dict)
    silence: NoAnswer | None = None

    def of(self, job: str) -> Job | NoAnswer | None:
        """A job; None if its scheduler does not know it any more."""
        return self.silence if self.silence is not None else self.jobs.get(job)


Ask = Callable[[Collection[str]], Answer]


def nobody(jobs: Collection[str]) -> Answer:
    """For who wants to know what a run's own events tell."""
    return Answer(silence=NoAnswer())
