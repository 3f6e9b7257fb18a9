"""Which points of a sweep are left to train."""

from __future__ import annotations

from yoloscale.backends.status import statuses
from yoloscale.runs.status import Status
from yoloscale.runs.sweep_directory import SweepDirectory


def is_left(status: Status, *, failed_only: bool = False) -> bool:
    """Whether a point has neither finished nor failed, or, `failed_only`, has failed; others may have it.

    One that a machine took along is among both: it is shown as failed, and goes on as unfinished.
    """
    if failed_only:
        return status.state == "failed"
    return status.state != "finished" and not status.has_failed


def unfinished(sweep: SweepDirectory, *, failed_only: bool = False) -> list[int]:
    """Indices of the points that are left and that nobody works on."""
    points = enumerate(statuses(sweep.runs()))
    return [index for index, status in points if is_left(status, failed_only=failed_only) and not status.is_taken]
