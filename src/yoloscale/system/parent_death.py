"""Run as a script: become the command in argv, with SIGTERM to come when the process that started this one dies.

    python -I -S parent_death.py PARENT_PID COMMAND …

The parent-death signal outlives exec, so the command needs to know nothing about it. It is asked for here rather than
in a preexec_fn, which is unsafe in a process with threads. An ignored signal outlives exec, too: SIGUSR2 asks ranks for
a checkpoint, and would kill the agent wherever it is sent to the whole job.
Imports nothing of the package: it starts in milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM at the parent's death (Linux); exit if it has died already."""
    if sys.platform.startswith("linux"):
        import ctypes

        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        sys.exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    os.execv(sys.argv[2], sys.argv[2:])
