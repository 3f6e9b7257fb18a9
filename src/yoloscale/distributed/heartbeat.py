"""What this process is doing right now: said by its main thread, read by its watchdog.

There is one of it per process, as there is one default process group: a rank has one main thread, and the collectives
mark their own waiting wherever they are called from. Without a watchdog it is a variable that nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

T = TypeVar("T")
EACH = 100  # files between two signs of life; reading so many takes minutes at worst


class Phase(NamedTuple):
    """A piece of work of the main thread; `name` completes the sentence "it was …".

    `waits`: it can only end when other ranks arrive. `is_long`: it may stand still for as long as a set-up.
    """

    name: str
    waits: bool = False
    is_long: bool = False


SETTING_UP = Phase("setting up", is_long=True)
LOADING = Phase("loading images")
COMPUTING = Phase("running forward and backward")
WAITING = Phase("waiting for the other ranks", waits=True)
UPDATING = Phase("updating the parameters")
SAVING = Phase("saving a checkpoint")
PUBLISHING = Phase("publishing weights")
PREPARING = Phase("preparing an evaluation", is_long=True)  # the first one imports what training does without
EVALUATING = Phase("evaluating")
MEASURING = Phase("computing the metrics", is_long=True)
CALLING = Phase("calling a callback", is_long=True)
FINISHING = Phase("finishing the run", is_long=True)


class Beat(NamedTuple):
    """One report; a new object each time, so that two beats of the same content are told apart."""

    phase: Phase
    step: int


class Heartbeat:
    """The latest beat of this process."""

    def __init__(self) -> None:
        self.step = 0  # optimiser steps done, set by the loop
        self.is_settled = False  # set after the first step: until then all but loading may take as long as a set-up
        self.last = Beat(SETTING_UP, 0)

    def at(self, phase: Phase) -> None:
        """Say what comes next. Main thread only; costs less than a microsecond."""
        self.last = Beat(phase, self.step)

    def through(self, items: Iterable[T], each: int = EACH) -> Iterator[T]:
        """The items, whose being taken is a sign of life: work on many files may last hours as long as it moves on.

        `each`: items between two signs; fewer where an item stands for many files.
        """
        for number, item in enumerate(items):
            if number % each == 0:
                self.at(self.last.phase)
            yield item

    @contextmanager
    def during(self, phase: Phase) -> Iterator[None]:
        """Be in `phase` for the length of the body, then go on with what was done before."""
        before = self.last.phase
        self.at(phase)
        try:
            yield
        finally:
            self.at(before)


HEARTBEAT = Heartbeat()
