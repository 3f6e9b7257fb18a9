"""What state a run is in: runs/status.py, with whoever has the run's job to ask."""

from __future__ import annotations

from collections.abc import Sequence

from yoloscale.backends import registry
from yoloscale.runs import status as of_folders
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import EventTail
from yoloscale.runs.jobs import Ask
from yoloscale.runs.status import Status


def status(run: RunDirectory, asked: Ask | None = None, told: EventTail | None = None) -> Status:
    """The state of a run directory, now. `asked`: whom to ask for its job in place of its back end.

    `told`: what has been read of the events so far, for who looks again and again.
    """
    return of_folders.status(run, asked or registry.ask, told)


def statuses(runs: Sequence[RunDirectory], asked: Ask | None = None) -> list[Status]:
    """The states of runs, in their order, for which each back end is asked once at most."""
    return of_folders.statuses(runs, asked or registry.ask)
