"""Who takes part in an attempt, what asks it to stop, and how its ranks part."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import torch

from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.hang.watchdog import Watchdog
from yoloscale.distributed.peers import PEERS
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.identity import RunLost
from yoloscale.system.formatting import rank_name
from yoloscale.system.variables import STOP_AT

FEWEST_CPUS = 2  # of a rank on a GPU


def announce(run: RunDirectory, ranks: Ranks, attempt: int, device: torch.device) -> tuple[events.Process, ...]:
    """Collective. Put on record who takes part; returns it, in rank order."""
    mine = events.Process(ranks.rank, ranks.host, os.getpid(), str(device), ranks.cpu_share)
    processes = tuple(group.gather_objects(mine))
    if ranks.is_first:
        started = events.AttemptStarted(attempt=attempt, world_size=ranks.world_size, processes=processes)
        events.append(run, started)
        if complaint := too_few_cpus(processes):
            events.warn(run, complaint)
    return processes


def too_few_cpus(processes: Sequence[events.Process]) -> str | None:
    """What to say where a GPU has fewer than two CPUs beside it: one for the rank's own work, one to load images."""
    short = [process for process in processes if process.device != "cpu" and process.cpus < FEWEST_CPUS]
    if not short:
        return None
    first = short[0]
    who = rank_name(first.rank, first.host) + (f" and {len(short) - 1} more" if len(short) > 1 else "")
    has = "has" if len(short) == 1 else "have"
    instead = "on SLURM, ask for more: cluster.cpus_per_task=CPUS of a node, 8 for each GPU"
    return f"{who} {has} {first.cpus} CPU beside the GPU, which will wait for images ({instead})"


def say_phase(run: RunDirectory, ranks: Ranks, attempt: int, phase: str) -> None:
    """Put on record, by rank 0, which phase of the set-up begins."""
    if ranks.is_first:
        events.append(run, events.Setup(attempt=attempt, phase=phase))


def watch_for_requests(run: RunDirectory, ranks: Ranks, requests: StopRequests) -> None:
    """Let a STOP file, the end of the allotted time and the loss of its folder stop the run. Rank 0 asks for all."""
    if ranks.is_first:
        watch_here(run, requests)


def watch_here(run: RunDirectory, requests: StopRequests) -> None:
    """The same for this rank alone, whatever the others do."""
    # not Path.exists: a file system that does not answer for a moment (a stale NFS handle) is no reason to fail
    requests.watch("STOP", lambda: os.path.exists(run.stop_request))  # noqa: PTH110
    requests.watch("its folder is lost", lambda: run.loss() is not None)  # what would be saved then is not
    if STOP_AT in os.environ:
        stop_at = float(os.environ[STOP_AT])
        requests.watch("time limit", lambda: time.time() >= stop_at)


def end_if_lost(run: RunDirectory, ranks: Ranks) -> None:
    """Collective. Raise RunLost on all ranks alike if the folder is another run's by now: then nothing was saved."""
    lost = group.broadcast_object(run.loss() if ranks.is_first else None)
    if lost is not None:
        raise RunLost(lost)


def leave(watchdog: Watchdog) -> None:
    """Collective. Wait for the others and leave their group."""
    PEERS.are_leaving = True
    group.barrier()
    watchdog.close()
    group.leave()
