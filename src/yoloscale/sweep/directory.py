"""Taking the folder of a sweep, so that of two commands at once one waits for the other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from yoloscale.errors import ConfigError, Problem
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.system.locks import try_lock
from yoloscale.system.waiting import wait_until

PATIENCE_S = 60.0  # ten thousand points are frozen, and submitted, in less
_POLL_S = 0.05


@dataclass
class TakenSweep:
    """A frozen sweep and the lock on it, held until `release`, the end of a `with`, or of the process.

    `is_new`: there was no sweep in that folder before.
    """

    directory: SweepDirectory
    descriptor: int
    is_new: bool = False

    def release(self) -> None:
        """Let others use the sweep."""
        os.close(self.descriptor)

    def __enter__(self) -> TakenSweep:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def take(directory: SweepDirectory, patience_s: float = PATIENCE_S) -> TakenSweep:
    """Lock a sweep's folder, which is made if it is not there. Raises ConfigError if another has it for too long.

    Where the file system has no locks, two commands at once are not kept apart.
    """
    if (taken := wait_until(lambda: _taken(directory), patience_s, _POLL_S)) is None:
        raise ConfigError(_in_use(directory))
    return taken


def _taken(directory: SweepDirectory) -> TakenSweep | None:
    """The lock; None while another has it, or where who had it has removed the folder, and the lock with it."""
    try:
        descriptor = _open(directory)
    except FileNotFoundError:
        directory.job.mkdir(parents=True, exist_ok=True)
        descriptor = _open(directory)
    try:
        if try_lock(descriptor) is not False and _is_open(directory.lock, descriptor):
            return TakenSweep(directory, descriptor)
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_open(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _open(directory: SweepDirectory) -> int:
    return os.open(directory.lock, os.O_RDWR | os.O_CREAT, 0o644)


def _in_use(directory: SweepDirectory) -> Problem:
    found = f"sweep {directory.name!r} is being frozen or submitted by another command: {directory.path}"
    return Problem("name", found, "type it again when that has ended, or give another name=")
