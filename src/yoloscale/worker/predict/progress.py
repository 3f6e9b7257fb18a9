"""What a rank puts on record as it goes: who it is, when it begins, how far the run has come and how fast."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

import torch

from yoloscale.distributed.environment import Ranks
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.turn import Turn
from yoloscale.system.formatting import counted

LINE_S = 10.0  # between two lines within a unit


@dataclass(frozen=True)
class Extent:
    """How much there is to do: rows of the manifest, and how they are cut."""

    images: int
    unit: int  # images of a unit, but for the last one

    @property
    def units(self) -> int:
        return -(-self.images // self.unit)

    def images_of(self, units: set[int]) -> int:
        """How many images these units have."""
        last = self.units - 1
        missing = self.units * self.unit - self.images if last in units else 0
        return len(units) * self.unit - missing


class Progress:
    """The lines of one rank, in metrics.jsonl and in events/. What the disk does not take is not worth the run.

    Args:
        done: the units whose parts are there, whoever made them.
    """

    def __init__(
        self, run: RunDirectory, ranks: Ranks, attempt: int, extent: Extent, done: Callable[[], set[int]]
    ) -> None:
        self._run, self._ranks, self._attempt, self.extent, self._done = run, ranks, attempt, extent, done
        self._turn = Turn(run, attempt)
        self._images, self._since = 0, time.monotonic()

    def say_joined(self, device: torch.device) -> None:
        """Say that this rank takes part. Rank 0 says with it that the attempt begins, and waits for no others."""
        ranks = self._ranks
        mine = events.Process(ranks.rank, ranks.host, os.getpid(), str(device), ranks.cpu_share)
        if ranks.is_first:
            started = events.AttemptStarted(attempt=self._attempt, world_size=ranks.world_size, processes=(mine,))
            events.append(self._run, started)
        else:
            events.append(self._run, events.Joined(attempt=self._attempt, **asdict(mine)))

    def say_phase(self, phase: str) -> None:
        """Say which phase of the set-up begins; on rank 0."""
        if self._ranks.is_first:
            events.append(self._run, events.Setup(attempt=self._attempt, phase=phase))

    def say_started(self, precision: str, batch: int, loaders: int) -> None:
        """Say that the set-up is over; on rank 0."""
        if not self._ranks.is_first:
            return
        done, extent = self._done(), self.extent
        ranks = counted(self._ranks.world_size, "rank")
        plan = f"{counted(extent.images, 'image')} in {counted(extent.units, 'unit')} over {ranks}, batch {batch}"
        started = events.PredictionStarted(
            attempt=self._attempt,
            images=extent.images,
            images_done=extent.images_of(done),
            units=extent.units,
            units_done=len(done),
            plan=f"{plan}, {counted(loaders, 'loader')}",
            precision=precision,
        )
        events.append(self._run, started)

    def begin(self) -> None:
        """Count from now: the rank has waited, and did nothing."""
        self._images, self._since = 0, time.monotonic()

    def add(self, images: int) -> None:
        """Count images that are predicted; writes a line now and then."""
        self._images += images
        if time.monotonic() - self._since >= LINE_S:
            self.write()

    def unit_done(self, unit: int, images: int, seconds: float) -> None:
        """Put a finished unit on record."""
        done = events.UnitDone(
            attempt=self._attempt, rank=self._ranks.rank, unit=unit, images=images, seconds=round(seconds, 3)
        )
        events.note(self._run, done)
        self.write()

    def write(self) -> None:
        """Write a line of progress, and count from now."""
        now, done = time.monotonic(), self._done()
        line = {
            "kind": "progress",
            "step": len(done),
            "time": round(time.time(), 3),
            "images": self.extent.images,
            "images_done": self.extent.images_of(done),
            "images_per_s": round(self._images / max(now - self._since, 1e-3), 3),
            "rank": self._ranks.rank,
            "host": self._ranks.host,
            "pid": os.getpid(),
        }
        self.begin()
        with suppress(OSError):  # of a full disk; RunLost and TurnOver, too
            self._run.glance()
            self._turn.check()
            jsonl.append(self._run.metrics, line)
