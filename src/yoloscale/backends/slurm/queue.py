"""What SLURM says of jobs: one call of squeue for any number of them, and one of sacct for those it has forgotten."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator

from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.runs.jobs import Answer, Job, NoAnswer

TIMEOUT_S = 15.0  # squeue itself gives up on a controller that is down after about 9 s
MAX_LIST_BYTES = 100_000  # the kernel takes no longer word; a list that is longer is left out, and all jobs are told
_SQUEUE = ("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%S|%N|%r")
_SACCT = ("sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID,State,NodeList")
_UNKNOWN = "Invalid job id specified"  # squeue's word if it knows none of the jobs


def ask(jobs: Collection[str]) -> Answer:
    """Ask SLURM for jobs by their ids, `41` or `21_3`; those that it has forgotten are missing in the answer."""
    if not jobs:
        return Answer()
    if shutil.which("squeue") is None:
        return Answer(silence=NoAnswer("there is no squeue on this machine", is_here=False))
    try:
        in_queue = _in_queue(jobs)
    except SlurmError as error:
        return Answer(silence=NoAnswer(error.said))
    forgotten = set(jobs) - in_queue.keys()
    return Answer({**(_in_accounts(forgotten) if forgotten else {}), **in_queue})


def read_queue(table: str) -> dict[str, Job]:
    """Jobs by their ids, from what squeue prints for `_SQUEUE`, times as seconds since the epoch."""
    jobs = {}
    for line in table.splitlines():
        job, state, start, nodes, reason = (*line.split("|", 4), "", "", "", "")[:5]
        starts_at = float(start) if start.isdigit() else None
        jobs[job] = Job(job, state, "" if reason == "None" else reason, nodes, starts_at)
    return jobs


def read_accounts(table: str) -> dict[str, Job]:
    """Jobs by their ids, from what sacct prints for `_SACCT`."""
    jobs = {}
    for line in table.splitlines():
        ids, state, nodes = (*line.split("|", 2), "", "")[:3]
        for job in _elements(ids):
            jobs[job] = Job(job, state, nodes="" if nodes == "None assigned" else nodes)
    return jobs


def _in_queue(jobs: Collection[str]) -> dict[str, Job]:
    ids = ",".join(_whole(jobs))
    argv = [*_SQUEUE, f"--jobs={ids}"] if len(ids) <= MAX_LIST_BYTES else list(_SQUEUE)
    try:
        queue = read_queue(call(argv, environment=_environment(), timeout_s=TIMEOUT_S))
    except SlurmError as error:
        if _UNKNOWN not in error.said:
            raise
        return {}
    return {job: entry for job, entry in queue.items() if job in jobs}


def _in_accounts(jobs: Collection[str]) -> dict[str, Job]:
    """Nothing where the cluster keeps no accounts, or its database does not answer."""
    ids = ",".join(_whole(jobs))
    if len(ids) > MAX_LIST_BYTES:
        return {}
    try:
        accounts = read_accounts(call([*_SACCT, f"--jobs={ids}"], environment=_environment(), timeout_s=TIMEOUT_S))
    except SlurmError:
        return {}
    return {job: entry for job, entry in accounts.items() if job in jobs}


def _whole(jobs: Collection[str]) -> list[str]:
    """Ids with an array's in place of those of its elements, which SLURM looks up one by one."""
    return sorted({job.partition("_")[0] for job in jobs})


def _environment() -> dict[str, str]:
    """This process's, without what a person has set for the tables that they look at themselves."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_"))}
    return {**variables, "SLURM_TIME_FORMAT": "%s"}


def _elements(ids: str) -> Iterator[str]:
    """`21_[2-4,7%2]` → 21_2, 21_3, 21_4, 21_7; any other id as it is."""
    match = re.fullmatch(r"(\d+)_\[([\d,:-]+)(?:%\d+)?\]", ids)
    if match is None:
        yield ids
        return
    for part in match[2].split(","):
        bounds, _, stride = part.partition(":")
        first, _, last = bounds.partition("-")
        for index in range(int(first), int(last or first) + 1, int(stride or 1)):
            yield f"{match[1]}_{index}"
