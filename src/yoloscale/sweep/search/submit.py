"""A search as one job array: an element for each point, which is asked for when the element starts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping, Sequence

from yoloscale.backends import registry
from yoloscale.backends.base import JobRequest, JobsLeftError
from yoloscale.backends.status import statuses
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.arrays import put_down
from yoloscale.runs.endings import record_cancel
from yoloscale.runs.jobs import Ask, NoAnswer
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep.search.search import Search
from yoloscale.sweep.submit import Submission, array_job
from yoloscale.sweep.unfinished import unfinished
from yoloscale.system.files import write_whole


def job_for(search: Search, words: Sequence[str], indices: Sequence[int]) -> JobRequest:
    """The array of some places of a search, whether they have a point yet or not."""
    return array_job(search.base, search.sweep, words, indices, asks=True)


def open_indices(search: Search, *, failed_only: bool = False) -> list[int]:
    """Places whose point nobody works on and that has neither finished nor failed, and those that have none yet.

    Raises ConfigError if the scheduler does not tell whether it has an element that is to ask for one.
    """
    points = search.sweep.points()
    found = [points[place].index for place in unfinished(search.sweep, failed_only=failed_only)]
    if failed_only:
        return found
    taken = {point.index for point in points} | queued(search.sweep).keys()
    return sorted([*found, *(index for index in range(search.total) if index not in taken)])


def submit_search(search: Search, words: Sequence[str], indices: Sequence[int], *, is_new: bool = False) -> Submission:
    """Submit these places, in one array if the site takes it; the caller has taken the sweep.

    Raises ConfigError, and leaves nothing of a new one, as `submit_points` does.
    """
    if not indices:
        states = [status.state for status in statuses(search.sweep.runs())]
        found = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "all are queued"
        instead = "`yoloscale status SWEEP`; more sweep.search.trials go on with it"
        raise ConfigError(Problem("SWEEP", f"{search.sweep.name!r}: {found}; nothing is left to submit", instead))
    points = {point.index: search.sweep.run(point.name) for point in search.sweep.points()}
    jobs, arrays, backend = dict[int, str](), list[str](), registry.required(search.base.cluster)
    try:
        for part in backend.submit_points(job_for(search, words, indices), indices):
            arrays.append(part.id)
            jobs |= part.jobs
            for index in points.keys() & part.jobs.keys():
                events.append(points[index], events.Submitted(job=jobs[index]))
    except ConfigError as error:
        if not isinstance(error, JobsLeftError):
            arrays.clear()
            for index in points.keys() & jobs.keys():
                record_cancel(points[index], jobs[index])
            if is_new:
                shutil.rmtree(search.sweep.path, ignore_errors=True)  # what the scheduler said is raised
        raise
    finally:  # also after Ctrl-C: what was submitted by then stays, and nobody else submits these places
        if arrays:
            _put_down(search.sweep, arrays, jobs, points)
    return Submission(tuple(arrays), tuple(indices))


def queued(sweep: SweepDirectory, asked: Ask = registry.ask) -> dict[int, str]:
    """Elements that a scheduler has, of places without a point. Raises ConfigError if it does not answer."""
    points = {point.index for point in sweep.points()}
    jobs = {int(index): job for index, job in _read(sweep).items() if int(index) not in points}
    answer = asked(set(jobs.values())) if jobs else None
    found = {}
    for index, job in jobs.items():
        assert answer is not None, "there are jobs"
        told = answer.of(job)
        if isinstance(told, NoAnswer):
            raise ConfigError(
                Problem("SLURM", told.words or "squeue is not here", "once SLURM answers, the same again")
            )
        if told is not None and not told.is_over:
            found[index] = job
    return found


def _put_down(sweep: SweepDirectory, arrays: Sequence[str], jobs: Mapping[int, str], points: Collection[int]) -> None:
    """Put down what was submitted: arrays, and the jobs of places that have no point yet."""
    asking = {str(index): job for index, job in jobs.items() if index not in points}
    write_whole(sweep.elements, json.dumps({**_read(sweep), **asking}))
    put_down(sweep, arrays)


def _read(sweep: SweepDirectory) -> dict[str, str]:
    """Job by index, of elements that were to ask for their point."""
    try:
        found: dict[str, str] = json.loads(sweep.elements.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
