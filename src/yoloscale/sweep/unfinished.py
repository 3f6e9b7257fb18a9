"""Which points of a sweep are left to train."""

from __future__ import annotations

from yoloscale.backends.status import statuses
from yoloscale.runs.status import Status
from yoloscale.runs.sweep_directory import SweepDirectory


def unfinished(sweep: SweepDirectory, *, failed_only: bool = False) -> list[int]:
    """Indices of the points that nobody works on and that have neither finished nor failed, or of those that failed.

    Those that a machine took along are among both: they are shown as failed, and go on as unfinished.
    """
    found = statuses(sweep.runs())
    return [index for index, status in enumerate(found) if _is_open(status, failed_only=failed_only)]


def _is_open(status: Status, *, failed_only: bool) -> bool:
    if failed_only:
        return status.state == "failed"
    return status.state != "finished" and not status.has_failed and not status.is_taken
