"""Whose a run directory is: a process writes only where it finds the id of the run that it works for.

A folder may be removed or renamed, and its name be used again, while ranks and launchers still hold the old path. Every
run has an id, frozen in its config.yaml; who works for a run looks there before it writes. A run of before there were
ids has none, which is written as an empty text; it must not find one either.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from yoloscale.config.freeze import id_in

LOOK_S = 1.0  # between two looks into the file where much is written


class RunLost(OSError):  # noqa: N818 - reads as what happened
    """The folder that a process would write to is not its run's any more.

    To whoever can do without what it wanted to write, it is a disk that does not take it.
    """


class Owner:
    """The run that a process works for, and the config.yaml that tells whether the folder is still that run's."""

    def __init__(self, config: Path, run_id: str) -> None:
        self.run_id = run_id
        self._config = config
        self._seen: tuple[int, ...] | None = None
        self._seen_at = 0.0

    def check(self) -> None:
        """Raise RunLost unless the folder is this run's. Call it right before a file is replaced or made."""
        try:
            with self._config.open("rb") as file:
                signature, run_id = _signature(os.fstat(file.fileno())), id_in(file.read())
        except (FileNotFoundError, NotADirectoryError):
            raise RunLost(self._said("was removed or renamed while it was in use")) from None
        except OSError:  # a file system that does not answer: nothing is known, and it says so to whoever writes
            return
        if run_id != self.run_id:
            owner = f"id {run_id}" if run_id else "one without an id"
            raise RunLost(self._said(f"belongs to another run by now ({owner})"))
        self._seen, self._seen_at = signature, time.monotonic()

    def glance(self) -> None:
        """As `check`, for lines that are written many times a second: the file is read about once a second."""
        if time.monotonic() - self._seen_at >= LOOK_S or self._signature() != self._seen:
            self.check()

    def _signature(self) -> tuple[int, ...] | None:
        try:
            return _signature(self._config.stat())
        except OSError:
            return None

    def _said(self, what: str) -> str:
        folder = self._config.parent
        whose = f"the run with id {self.run_id}" if self.run_id else "the run without an id"
        return f"the folder {folder} {what}: {whose}, which wrote there, ends here and writes nothing more"


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
