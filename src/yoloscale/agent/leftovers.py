"""No process of a job outlives it: finds them by the mark in their environment, wherever they were re-parented to."""

from __future__ import annotations

import os
from contextlib import suppress

from yoloscale.system.variables import MARK
from yoloscale.system.waiting import wait_until

GONE_TIMEOUT_S, POLL_S = 5.0, 0.02


def processes_of(mark: str) -> list[int]:
    """Pids of this user's processes on this machine that carry the job's mark, this process left out."""
    import psutil

    pids = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                pids.append(int(process.pid))
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return pids


def kill_all(mark: str) -> list[int]:
    """SIGKILL every process of the job, and what it starts meanwhile, until none is left; the pids killed.

    Returns after 5 s even if some are stuck in the kernel.
    """
    import psutil

    killed = set[int]()

    def are_gone() -> bool:
        pids = processes_of(mark)
        for pid in pids:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
                killed.add(pid)
        return not pids

    wait_until(are_gone, GONE_TIMEOUT_S, POLL_S)
    return sorted(killed)
