"""The launchers that train points of a sweep on machines: on record in its folder for as long as they live."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.system.files import host_name, write_whole
from yoloscale.system.liveness import is_alive

SILENT_S = 900.0  # one on another machine is thought dead then; it may wait for its turn at a search for 600 s


@dataclass(frozen=True)
class SweepLauncher:
    """One launcher: job/launcher-HOST-PID.json is there while it lives; a file beside it asks it to stop.

    The record's time is its last sign of life, for other machines.
    """

    record: Path
    host: str
    pid: int
    since: float  # time of day

    @property
    def request(self) -> Path:
        """Made by whoever cancels the sweep."""
        return self.record.with_suffix(".stop")

    def is_asked_to_stop(self) -> bool:
        """Whether the sweep was cancelled. Called by the launcher itself; gives a sign of life."""
        with suppress(OSError):
            os.utime(self.record)
        # not Path.exists: a file system that does not answer for a moment (a stale NFS handle) is no reason to end
        return os.path.exists(self.request)  # noqa: PTH110

    def freeze(self) -> None:
        """Let it do nothing any more, if it is on this machine; `kill` is to follow."""
        self._send(signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once, if it is on this machine; points that it has are told to save and stop."""
        self._send(signal.SIGKILL)

    def forget(self) -> None:
        """Remove what is on record of it, and the request to stop."""
        self.record.unlink(missing_ok=True)
        self.request.unlink(missing_ok=True)

    def _send(self, number: signal.Signals) -> None:
        if self.host == socket.gethostname():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


@contextmanager
def on_record(sweep: SweepDirectory) -> Iterator[SweepLauncher]:
    """Put this process down as a launcher of the sweep for as long as this is entered."""
    alive(sweep)  # removes what is left of those that were killed
    host, pid = socket.gethostname(), os.getpid()
    name = f"launcher-{host_name()}-{pid}.json"
    launcher = SweepLauncher(sweep.job / name, host, pid, round(time.time(), 3))
    launcher.request.unlink(missing_ok=True)
    write_whole(launcher.record, json.dumps({"host": host, "pid": pid, "time": launcher.since}))
    try:
        yield launcher
    finally:
        launcher.forget()


def alive(sweep: SweepDirectory) -> list[SweepLauncher]:
    """Launchers of a sweep that live, or that may, on other machines; what is left of dead ones here is removed."""
    living = list[SweepLauncher]()
    for launcher in filter(None, map(_read, sorted(sweep.job.glob("launcher-*.json")))):
        lives = is_alive(launcher.host, launcher.pid, launcher.since)
        if lives is False:
            launcher.forget()
        elif lives or not _is_silent(launcher):
            living.append(launcher)
    return living


def _is_silent(launcher: SweepLauncher) -> bool:
    try:
        return time.time() - launcher.record.stat().st_mtime > SILENT_S
    except OSError:  # it has ended just now
        return True


def _read(path: Path) -> SweepLauncher | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return SweepLauncher(path, str(record["host"]), int(record["pid"]), float(record["time"]))
    except (OSError, ValueError, KeyError, TypeError):  # it has ended just now
        return None
