"""Who works at which unit: advisory files, so that ranks seldom do the same. No rank waits for another one's word.

A claim is a file claims/<work>/<unit>.<number>, made by O_EXCL, with its owner in it; its owner touches it
as it moves on, and removes it when the part is there, or when it stops. Two that do the same unit all the same write
the same bytes.

| newest claim of a unit | what another rank does |
| --- | --- |
| none | claims it: its own share (unit % world size) first, upwards, then those of others, from the last one down |
| of a process that runs, by this machine's word or by the file's age | leaves it |
| of one that is gone: no such process here, or not touched for `timeout_s` | claims it under the next number, last |
| that is the second one or a later one of those gone | as before, and the unit is done image by image: it may kill |

The age of a file is told by the clock that stamps files in its folder, not by this machine's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from yoloscale.system.liveness import is_alive

FOLDER = "claims"
DEATHS = 2  # of processes at one unit, until it is done image by image
_NAME = re.compile(r"(\d+)\.(\d+)")
_MOST_BEAT_S = 5.0


@dataclass(frozen=True)
class Claimant:
    """A rank among those that share out the units; any number of others may join."""

    rank: int
    world_size: int


@dataclass
class Claim:
    """A unit that this process works at.

    Args:
        deaths: processes that were at it before, and are gone without its part.
        each_s: between two touches of the file.
    """

    unit: int
    path: Path
    deaths: int
    each_s: float = _MOST_BEAT_S
    _touched_at: float = 0.0

    @property
    def is_isolated(self) -> bool:
        """Whether the unit is done image by image, each in another process."""
        return self.deaths >= DEATHS

    def beat(self) -> None:
        """Say that the owner moves on; call it as often as you like."""
        now = time.monotonic()
        if now - self._touched_at >= self.each_s:
            self._touched_at = now
            with suppress(OSError):  # advisory: the folder is gone when others have come to the end
                os.utime(self.path)

    def release(self) -> None:
        """Give the unit back, or let go of it once it is done. Without it, the owner counts as killed by the unit."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Owner:
    """Whoever has a claim. `place`: the machine's host, boot and the name space of its process numbers."""

    place: tuple[str, str, str]
    pid: int
    time: float


class Claims:
    """The units of one piece of work, as one rank sees them.

    Args:
        work: the name of its folder below claims/, made with the first claim; `units` for the parts.
        units: how many there are.
        done: which of them are done.
        timeout_s: a claimant elsewhere that has not moved on for so long is gone.
    """

    def __init__(
        self, run_path: Path, work: str, units: int, done: Callable[[], set[int]], claimant: Claimant, timeout_s: float
    ) -> None:
        self._folder, self._units, self._done = run_path / FOLDER / work, units, done
        self._claimant, self._timeout_s = claimant, timeout_s
        self.done: set[int] = set()  # at the last look

    @property
    def are_over(self) -> bool:
        """Whether every unit was done at the last look."""
        return len(self.done) >= self._units

    def next(self) -> Claim | None:
        """A unit to do now; None where all that are left have a claimant at work, or none is left."""
        self.done = self._done() & set(range(self._units))
        if self.are_over:
            return None
        for folder in (self._folder.parent, self._folder):  # a run directory that is gone is not made again
            folder.mkdir(exist_ok=True)
        newest = self._newest()
        for unit in self._in_order():
            if unit not in newest and (claim := self._make(unit, 1)) is not None:
                return claim
        left = sorted((number, unit) for unit, number in newest.items() if unit not in self.done)
        for number, unit in left:
            if self._is_gone(self._path(unit, number)) and (claim := self._make(unit, number + 1)) is not None:
                return claim
        return None

    def _in_order(self) -> Iterator[int]:
        """The units that are not done: this rank's share upwards, then the others' downwards."""
        size, rank = self._claimant.world_size, self._claimant.rank
        yield from (unit for unit in range(rank, self._units, size) if unit not in self.done)
        others = (unit for unit in range(self._units - 1, -1, -1) if unit % size != rank)
        yield from (unit for unit in others if unit not in self.done)

    def _newest(self) -> dict[int, int]:
        """The number of the newest claim of each unit that has one."""
        newest: dict[int, int] = {}
        with os.scandir(self._folder) as entries:
            for match in filter(None, (_NAME.fullmatch(entry.name) for entry in entries)):
                unit, number = int(match[1]), int(match[2])
                newest[unit] = max(number, newest.get(unit, 0))
        return newest

    def _make(self, unit: int, number: int) -> Claim | None:
        """Claim a unit; None if another one was quicker, or has done it meanwhile. Raises OSError of a full disk."""
        path = self._path(unit, number)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return None
        claim = Claim(unit, path, number - 1, min(_MOST_BEAT_S, self._timeout_s / 10), time.monotonic())
        try:
            os.write(descriptor, _myself(self._claimant.rank))
            is_done = unit in self._done()
        except BaseException:
            claim.release()  # a claim without an owner would be in the way of all for as long as the timeout
            raise
        finally:
            os.close(descriptor)
        if is_done:
            claim.release()
            return None
        return claim

    def _path(self, unit: int, number: int) -> Path:
        return self._folder / f"{unit:06d}.{number}"

    def _is_gone(self, path: Path) -> bool:
        """Whether the owner of a claim works no more; False for a claim that has been released meanwhile."""
        try:
            touched, content = path.stat().st_mtime, path.read_bytes()
        except FileNotFoundError:
            return False
        owner = _parse(content)
        if owner is not None and owner.place == _place():
            return not is_alive(owner.place[0], owner.pid, owner.time)
        return self._file_clock() - touched >= self._timeout_s

    def _file_clock(self) -> float:
        """The time of now by the clock that stamps files in the folder, which may be a server's."""
        probe = self._folder / f"clock-{socket.gethostname()}-{os.getpid()}"
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)


def drop(run_path: Path) -> None:
    """Remove all claims of a run that has come to its end."""
    shutil.rmtree(run_path / FOLDER, ignore_errors=True)


def _myself(rank: int) -> bytes:
    about = {"place": _place(), "pid": os.getpid(), "time": round(time.time(), 3), "rank": rank}
    return json.dumps(about).encode()


def _parse(content: bytes) -> _Owner | None:
    """None for a claim that its owner was killed amid, or that a full disk has cut short."""
    try:
        about = json.loads(content)
        host, boot, names = about["place"]
        return _Owner((host, boot, names), int(about["pid"]), float(about["time"]))
    except (ValueError, KeyError, TypeError):
        return None


@cache
def _place() -> tuple[str, str, str]:
    """What two processes have in common that may ask each other's process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        names = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        boot = names = ""
    return socket.gethostname(), boot, names
