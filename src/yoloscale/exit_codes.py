"""How processes end, in words."""

from __future__ import annotations

import signal


def describe_exit(exit_code: int) -> str:
    """An exit code in words."""
    if exit_code >= 0:
        return f"exited with code {exit_code} without saying why"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hints = {
        "SIGKILL": " (often the kernel's out-of-memory killer: less memory is needed with a smaller batch, "
        "fewer workers or cache=false)",
        "SIGSEGV": " (a crash in native code; the end of its log shows where)",
        "SIGBUS": " (often shared memory, /dev/shm, is full: give it more room, or fewer workers)",
    }
    return f"was killed by {name}{hints.get(name, '')}"
