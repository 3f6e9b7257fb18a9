"""The one module that starts processes. Commands are argv lists; no shell is ever involved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PARENT_DEATH = Path(__file__).with_name("parent_death.py")


class ChildProcess:
    """A running process in a session of its own, which gets SIGTERM when this process dies: torchrun's agent, say."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], log: Path, *, keep_open: Sequence[int] = ()
    ) -> None:
        """Start it; its output goes to the end of `log`. It inherits the descriptors `keep_open`, and no other.

        Must be called in the main thread: the kernel watches the thread that started it.
        """
        wrapped = [sys.executable, "-I", "-S", str(PARENT_DEATH), str(os.getpid()), *argv]
        self._process = _start(wrapped, log, environment, keep_open)

    @property
    def pid(self) -> int:
        """Process id; also the session's id."""
        return self._process.pid

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, negative for a signal; None if it is still running after the time."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def send(self, signal_number: int) -> None:
        """Send a signal; nothing happens if it has ended."""
        self._process.send_signal(signal_number)


def start_detached(argv: Sequence[str], log: Path, *, keep_open: Sequence[int] = ()) -> int:
    """Start a process that outlives this one and its terminal; its pid.

    Output goes to the end of `log`. It inherits the descriptors `keep_open`, under the same numbers, and no other.
    """
    process = _start(argv, log, None, keep_open)
    process.returncode = 0  # not ours to wait for: keeps Popen from warning about a child it thinks forgotten
    return process.pid


def _start(
    argv: Sequence[str], log: Path, environment: Mapping[str, str] | None, keep_open: Sequence[int]
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            list(argv),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(keep_open),
        )


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
