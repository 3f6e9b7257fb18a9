"""Errors that say that a device is broken."""

from __future__ import annotations

import re

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


def is_device_fault(error: str) -> bool:
    """Whether an error says that a device is broken, so that the same node fails again."""
    said = error.lower()
    return any(sign in said for sign in DEVICE_FAULTS) or _XID.search(said) is not None
