"""Taking the folder of a sweep, so that of two commands at once one waits for the other."""

from __future__ import annotations

import os
from dataclasses import dataclass

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

    def __exit__(self, *_: object) -> None:
        self.release()


def take(directory: SweepDirectory, patience_s: float = PATIENCE_S) -> TakenSweep:
    """Lock a sweep's folder, which is made if it is not there. Raises ConfigError if another has it for too long.

    Where the file system has no locks, two commands at once are not kept apart.
    """
    if (locked_sweep := wait_until(lambda: _try_lock(directory), patience_s, _POLL_S)) is None:
        found = f"sweep {directory.name!r} is being frozen or submitted by another command: {directory.path}"
        instead = "type it again when that has ended, or give another name="
        raise ConfigError(Problem("name", found, instead))
    return locked_sweep


def _try_lock(directory: SweepDirectory) -> TakenSweep | None:
    """The lock; None while another has it, or where who had it has removed the folder, and the lock with it."""
    directory.job.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if try_lock(descriptor) is not False and os.path.samestat(directory.lock.stat(), os.fstat(descriptor)):
            return TakenSweep(directory, descriptor)
    except FileNotFoundError:
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
