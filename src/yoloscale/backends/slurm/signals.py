"""Signals to processes on the nodes of a SLURM job, by a step of its own."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from yoloscale.backends.base import RankProcess
from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.errors import ConfigError, Problem

MAX_STEPS = 16  # at a time


def send_in_job(job: str, ranks: Sequence[RankProcess], number: signal.Signals) -> list[RankProcess]:
    """Send a signal to ranks of a job, node by node; those that got it. Raises ConfigError with what srun said."""
    number_of_job = _own_number(job)
    hosts = sorted({hit.host for hit in ranks})
    parts = [[hit for hit in ranks if hit.host == host] for host in hosts]
    with ThreadPoolExecutor(MAX_STEPS) as pool:
        return [hit for hits in pool.map(lambda part: _send(number_of_job, part, number), parts) for hit in hits]


def _own_number(job: str) -> str:
    """What srun takes: elements of an array have numbers of their own beside ARRAY_TASK."""
    if "_" not in job:
        return job
    try:
        return call(["squeue", "--noheader", f"--jobs={job}", "--format=%A"]).strip() or job
    except SlurmError as error:
        words = f"SLURM does not tell the number of job {job}: {error.said}"
        raise ConfigError(Problem("RUN", words, "`yoloscale status` shows whether the job still runs")) from None


def kill_argv(job: str, host: str, pids: Sequence[int], number: signal.Signals) -> list[str]:
    """A step on a node that is full already, and takes nothing of it."""
    where = [f"--jobid={job}", "--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={host.partition('.')[0]}"]
    return ["srun", *where, "--input=none", "kill", f"-{number.name.removeprefix('SIG')}", *map(str, pids)]


def _send(job: str, hits: Sequence[RankProcess], number: signal.Signals) -> list[RankProcess]:
    """The ranks of one node; those that are gone already are no mistake."""
    try:
        call(kill_argv(job, hits[0].host, [hit.pid for hit in hits], number))
    except SlurmError as error:
        lines = [line for line in error.said.splitlines() if "No such process" in line]
        gone = {int(number) for line in lines for number in re.findall(r"\d+", line)}
        if not gone:
            words = f"{hits[0].host} was not reached by a step of job {job}: {error.said}"
            raise ConfigError(Problem("RUN", words, "`yoloscale status` shows whether the job still runs")) from None
        return [hit for hit in hits if hit.pid not in gone]
    return list(hits)
