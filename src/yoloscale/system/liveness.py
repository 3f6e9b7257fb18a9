"""Is the process that an event speaks of still there?"""

from __future__ import annotations

import socket

CLOCK_SLACK_S = 10.0


def is_alive(host: str, pid: int, seen_at: float) -> bool | None:
    """True or False for a process of this machine, None for one of another, which cannot be asked.

    `seen_at` is the time of day at which the process existed: a process with that pid that started later is another.
    """
    if host != socket.gethostname():
        return None
    import psutil

    try:
        process = psutil.Process(pid)
        return process.create_time() <= seen_at + CLOCK_SLACK_S and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # somebody else's process, and so not one of this run's
        return False
