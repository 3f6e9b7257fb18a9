"""A search as one job array: an element for each point, which is asked for when the element starts."""

from __future__ import annotations

from collections.abc import Sequence

from yoloscale.backends import registry
from yoloscale.backends.base import JobRequest
from yoloscale.backends.status import statuses
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs.jobs import Ask, Job, NoAnswer, label_of
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep.search.search import Search
from yoloscale.sweep.submit import Submission, array_job, asking_jobs, submit
from yoloscale.sweep.unfinished import unfinished
from yoloscale.system.formatting import tally


def job_for(search: Search, words: Sequence[str], indices: Sequence[int]) -> JobRequest:
    """The array of some places of a search, whether they have a point yet or not."""
    return array_job(search.base, search.sweep, words, indices, asks=True)


def open_indices(search: Search, *, failed_only: bool = False) -> list[int]:
    """Places whose point nobody works on and that has neither finished nor failed, and those that have none yet.

    Raises ConfigError if the scheduler does not tell whether it has an element that is to ask for one.
    """
    points = search.sweep.points()
    left = [points[place].index for place in unfinished(search.sweep, failed_only=failed_only)]
    if failed_only:
        return left
    places = {point.index for point in points} | queued(search.sweep).keys()
    return sorted([*left, *(index for index in range(search.total) if index not in places)])


def submit_search(search: Search, words: Sequence[str], indices: Sequence[int], *, is_new: bool = False) -> Submission:
    """Submit these places: see `submit`. Raises ConfigError also where there is none of them."""
    if not indices:
        found = tally(status.state for status in statuses(search.sweep.runs())) or "all are queued"
        instead = "`yoloscale status SWEEP`; more sweep.search.trials go on with it"
        raise ConfigError(Problem("SWEEP", f"{search.sweep.name!r}: {found}; nothing is left to submit", instead))
    return submit(search.sweep, job_for(search, words, indices), indices, is_new=is_new)


def queued(sweep: SweepDirectory, ask: Ask = registry.ask) -> dict[int, str]:
    """Jobs by index that a scheduler has for places without a point. Raises ConfigError if it does not answer."""
    points = {point.index for point in sweep.points()}
    jobs = {index: job for index, job in asking_jobs(sweep).items() if index not in points}
    if not jobs:
        return {}
    answer = ask(set(jobs.values()))
    states = {index: answer.of(job) for index, job in jobs.items()}
    for index, state in states.items():
        if isinstance(state, NoAnswer):
            raise ConfigError(_silent(jobs[index], state))
    return {index: jobs[index] for index, state in states.items() if isinstance(state, Job) and not state.is_over}


def _silent(job: str, answer: NoAnswer) -> Problem:
    label = label_of(job)
    found = answer.words or f"{registry.of_job(job).watch_command([job]).split()[0]} is not here"
    return Problem(label, found, f"once {label} answers, the same again")
