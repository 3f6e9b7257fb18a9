"""Ending a run on this machine at once."""

from __future__ import annotations

import os
import signal

from yoloscale.agent import leftovers
from yoloscale.system.variables import MARK


def _kill(pid: int) -> None:
    """Kill a launcher first, so that it starts nothing more, then every process with the mark of its job."""
    import psutil

    marks = set()
    for child in psutil.Process(pid).children(recursive=True):
        try:
            marks.add(child.environ().get(MARK))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    os.kill(pid, signal.SIGKILL)
    for mark in marks:
        if mark:
            leftovers.kill_all(mark)
