"""A node whose GPU is broken: told by what its rank failed of, and left out when the job is requeued."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.runs import events

DEVICE_FAULTS = (  # what CUDA, NVML and the driver say of a device that no program can mend
    "uncorrectable ecc",
    "ecc error",
    "uncorrectable nvlink",
    "fallen off the bus",
    "gpu is lost",
    "busy or unavailable",
    "cudaerrordevicesunavailable",
    "driver/library version mismatch",
)
_XID = re.compile(r"\bxid\b[ (:]")  # the driver's numbers of what befalls a GPU
UPDATE_TRIES = 10
UPDATE_POLL_S = 1.0


def is_device_fault(error: str) -> bool:
    """Whether an error says that a device is broken, so that the same node fails again."""
    said = error.lower()
    return any(sign in said for sign in DEVICE_FAULTS) or _XID.search(said) is not None


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
