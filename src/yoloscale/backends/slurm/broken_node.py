"""A node whose GPU is broken: told by what its rank failed of, and left out when the job is requeued."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from yoloscale.agent.device_faults import is_device_fault
from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.runs import events

UPDATE_TRIES = 10
UPDATE_POLL_S = 1.0


def broken_node(told: Iterable[Mapping[str, Any]]) -> tuple[str, str] | None:
    """The node of the first rank that failed of its device, by SLURM's name, and the error; None without one."""
    for record in told:
        is_own = record["event"] == events.FAILED and record.get("rank") is not None and not record.get("collateral")
        if is_own and is_device_fault(str(record.get("error", ""))):
            return str(record.get("host", "")).partition(".")[0], str(record["error"])
    return None


def excluded(history: Sequence[Mapping[str, Any]], job: str, typed: str | None, node: str) -> list[str]:
    """All that the job is to leave out from now on: as typed, as in its requeues before, and this node."""
    earlier = [
        name
        for record in history
        if record["event"] == events.REQUEUED and record.get("job") == job
        for name in record.get("excluded", ())
    ]
    return list(dict.fromkeys([*([typed] if typed else []), *earlier, node]))


def exclude(job: str, nodes: Sequence[str]) -> None:
    """Have a job that was just requeued start on other nodes. Raises SlurmError if SLURM will not.

    It takes this of a job that waits only, which a requeued one does a moment later.
    """
    for tries_left in reversed(range(UPDATE_TRIES)):
        try:
            call(["scontrol", "update", f"JobId={job}", f"ExcNodeList={','.join(nodes)}"])
        except SlurmError:
            if tries_left == 0:
                raise
            time.sleep(UPDATE_POLL_S)
        else:
            return
