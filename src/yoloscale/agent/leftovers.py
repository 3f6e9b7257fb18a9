"""No process of a job outlives it: finds them by the mark in their environment, wherever they were re-parented to."""

from __future__ import annotations

import os
import time

from yoloscale.system.variables import MARK

GONE_TIMEOUT_S = 5.0


def processes_of(mark: str) -> list[int]:
    """Pids of this user's processes on this machine that carry the job's mark, this process left out."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(int(process.pid))
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def kill_all(mark: str) -> list[int]:
    """SIGKILL every process of the job, and what it starts meanwhile, until none is left; the pids killed.

    Returns after 5 s even if some are stuck in the kernel.
    """
    import psutil

    killed: set[int] = set()
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while (left := processes_of(mark)) and time.monotonic() < deadline:
        for pid in left:
            try:
                psutil.Process(pid).kill()
                killed.add(pid)
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.02)
    return sorted(killed)
