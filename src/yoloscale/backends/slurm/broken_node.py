"""A node whose GPU is broken: told by what its rank failed of, and left out when the job is requeued."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from yoloscale.agent.restarts import is_device_fault
from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.runs.events import Event, Failed, Requeued
from yoloscale.system.waiting import retry

UPDATE_TIMEOUT_S, UPDATE_POLL_S = 120.0, 1.0  # a busy controller takes its time for each answer


def broken_node(history: Iterable[Event]) -> tuple[str, str] | None:
    """The node of the first rank that failed of its device, by SLURM's name, and the error; None without one."""
    for event in history:
        if not isinstance(event, Failed) or event.rank is None or event.collateral:
            continue
        if is_device_fault(event.error):
            return (event.host or "").partition(".")[0], event.error
    return None


def excluded(history: Sequence[Event], job: str, typed: str | None, node: str) -> list[str]:
    """All that the job is to leave out from now on: as typed, as in its requeues before, and this node."""
    requeues = (event for event in history if isinstance(event, Requeued) and event.job == job)
    earlier = [name for event in requeues for name in event.excluded]
    return list(dict.fromkeys([*([typed] if typed else []), *earlier, node]))


def exclude(job: str, nodes: Sequence[str]) -> None:
    """Have a job that was just requeued start on other nodes. Raises SlurmError if SLURM will not.

    It takes this of a job that waits only, which a requeued one does a moment later.
    """
    update = ["scontrol", "update", f"JobId={job}", f"ExcNodeList={','.join(nodes)}"]
    retry(lambda: call(update), SlurmError, UPDATE_TIMEOUT_S, UPDATE_POLL_S)
