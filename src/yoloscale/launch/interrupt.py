"""Rehearsing what clusters do: signals to the ranks of a running run, so that a person can see how it goes on."""

from __future__ import annotations

import os
import shlex
import signal
import socket
from collections.abc import Sequence

from yoloscale.backends import registry
from yoloscale.backends.base import RankProcess
from yoloscale.backends.status import status
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import AttemptStarted, Process
from yoloscale.runs.status import read_progress
from yoloscale.system.liveness import is_alive


def interrupt(run: RunDirectory, number: signal.Signals, rank: int | None = None) -> list[RankProcess]:
    """Send a signal to one rank of the newest attempt, or to all of them; who got it.

    A process counts only if it is the one that the attempt put on record. On the nodes of a job its scheduler
    sends it. Raises ConfigError if the run has no ranks now, or not this one, or if one of them is on a host that
    cannot be reached; then none gets the signal.
    """
    chosen = _chosen(run, rank)
    here = socket.gethostname()
    if elsewhere := sorted({process.host for process in chosen} - {here}):
        job = read_progress(run).job
        ranks = [_hit(process) for process in chosen]
        sent = None if job is None else registry.of_job(job).signal(job, ranks, number)
        if sent is None:
            raise ConfigError(_elsewhere(run, elsewhere, number, rank, chosen))
        hits = sent
    else:
        alive = [process for process in chosen if is_alive(here, process.pid, _seen_at(run, process))]
        hits = [hit for process in alive if (hit := _send(_hit(process), number)) is not None]
    if not hits:
        raise ConfigError(_not_running(run))
    return hits


def _started(run: RunDirectory) -> AttemptStarted:
    """The newest attempt's word on its ranks. Raises ConfigError if it has none yet, or is over."""
    history = events.history(run)
    told = events.of_attempt(history, events.last_attempt(history))
    started = [event for event in told if isinstance(event, AttemptStarted)]
    is_over = any(isinstance(event, (events.Exited, events.Finished)) for event in told)
    if not started or is_over:
        raise ConfigError(_not_running(run))
    return started[-1]


def _chosen(run: RunDirectory, rank: int | None) -> Sequence[Process]:
    _started(run)
    processes = read_progress(run).processes
    chosen = [process for process in processes if rank is None or process.rank == rank]
    if not chosen:
        raise ConfigError(Problem("--rank", f"there is no rank {rank}", f"write 0 to {len(processes) - 1}"))
    return chosen


def _seen_at(run: RunDirectory, process: Process) -> float:
    """When it said that it is there: by itself, or with all ranks of the attempt."""
    history = events.history(run)
    told = events.of_attempt(history, events.last_attempt(history))
    own = [event.time for event in told if isinstance(event, events.Joined) and event.rank == process.rank]
    return own[-1] if own else _started(run).time


def _hit(process: Process) -> RankProcess:
    return RankProcess(process.rank, process.host, process.pid)


def _send(hit: RankProcess, number: signal.Signals) -> RankProcess | None:
    try:
        os.kill(hit.pid, number)
    except ProcessLookupError:  # it ended by itself just now
        return None
    except PermissionError:
        found = f"process {hit.pid} (rank {hit.rank}) is not yours"
        raise ConfigError(Problem("RUN", found, "ask who started it")) from None
    return hit


def _not_running(run: RunDirectory) -> Problem:
    quoted, found = shlex.quote(str(run.path)), status(run)
    instead = f"it is on its way to its first step or to its end: `yoloscale logs {quoted} -f` shows which"
    if not found.is_active:
        instead = f"`yoloscale resume {quoted}` starts it" if found.state != "finished" else "`yoloscale runs`"
    return Problem("RUN", f"{run.name!r} is {found.state}: it has no ranks on record that run now", instead)


def _elsewhere(
    run: RunDirectory,
    hosts: Sequence[str],
    number: signal.Signals,
    rank: int | None,
    chosen: Sequence[Process],
) -> Problem:
    """What to type where; one rank after another if this is about all of them: none got it here."""
    flag = f"--{number.name.removeprefix('SIG').lower()}"
    words = ["yoloscale", "interrupt", str(run.path.absolute()), flag, "--rank"]
    instead = "\n".join(f"on {process.host}: {shlex.join([*words, str(process.rank)])}" for process in chosen[:8])
    which = "the ranks run" if rank is None else f"rank {rank} runs"
    return Problem("RUN", f"{which} on {', '.join(hosts)}", instead)
