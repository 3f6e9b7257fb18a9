"""What the ranks of an evaluation tell each other between batches: whether to stop, and how far all of them are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT
from yoloscale.engine.stop_requests import Stop, StopRequests, agree
from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory

TALK_EACH_S = 5.0  # each time all wait for the slowest


class Stopped(Exception):  # noqa: N818  # what has happened, as of RunLost
    """All ranks have agreed to stop. `reason`: what the first of them was asked with that was asked."""

    def __init__(self, stop: Stop, reason: str | None) -> None:
        super().__init__(stop.name)
        self.stop, self.reason = stop, reason


class Rounds:
    """Called by every rank after each of its batches, and as often by those that have fewer.

    Args:
        rounds: how often it will be called.
        images: of the whole set.
    """

    def __init__(
        self,
        run: RunDirectory,
        ranks: Ranks,
        requests: StopRequests,
        *,
        rounds: int,
        images: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._ranks, self._requests = run, ranks, requests
        self._rounds, self._images, self._clock = rounds, images, clock
        self._round, self._next, self._done_here = 0, 1, 0
        self._started = clock()

    def __call__(self, images: int) -> None:
        """Collective. `images`: of this rank in this round. Raises Stopped, on all ranks alike.

        After the last round nobody is asked: there is nothing left to stop.
        """
        self._round += 1
        self._done_here += images
        HEARTBEAT.is_settled = True
        if self._round == self._next < self._rounds:
            self._talk()

    def _talk(self) -> None:
        seconds = self._clock() - self._started
        pause = max(1, int(TALK_EACH_S * self._round / max(seconds, 1e-9)))  # rounds; that of rank 0 counts
        told = group.gather_objects((self._requests.numbers(), self._requests.reason, self._done_here, pause))
        stop, _ = agree([sum(column) for column in zip(*(numbers for numbers, *_ in told), strict=True)])
        if stop is not Stop.none:
            raise Stopped(stop, next((reason for _, reason, *_ in told if reason), None))
        self._next = self._round + told[0][-1]
        if self._ranks.is_first:
            self._say(sum(done for _, _, done, _ in told), seconds)

    def _say(self, done: int, seconds: float) -> None:
        """A line for whoever looks how far the run is; its pace is that of all ranks together."""
        record = {
            "kind": "progress",
            "time": time.time(),
            "images": self._images,
            "images_done": done,
            "images_per_s": round(done / max(seconds, 1e-9), 2),
            "host": self._ranks.host,
            "pid": os.getpid(),
            "rank": self._ranks.rank,
        }
        self._run.glance()
        jsonl.append(self._run.metrics, record)
