"""GPUs that points of sweeps have taken on this machine, so that two sweeps at once do not share any."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from yoloscale.system.locks import try_lock

Choose = Callable[[Collection[str]], "tuple[str, ...] | None"]


@dataclass(frozen=True)
class Lease:
    """GPUs by their names in CUDA_VISIBLE_DEVICES, and the locks on them: taken while a process has these open."""

    gpus: tuple[str, ...]
    descriptors: tuple[int, ...]

    def release(self) -> None:
        """Close the locks here; a child that has inherited them keeps the GPUs."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def folder() -> Path:
    """Where the locks lie: on this machine, for this user."""
    return Path(tempfile.gettempdir()) / f"yoloscale-{os.getuid()}-devices"


def lease(choose: Choose, identify: Callable[[str], str] = str) -> Lease | None:
    """Lock GPUs; None if others have too many of them.

    Args:
        choose: GPUs to take, given those that are busy; None if there are too few.
        identify: what a GPU is called whatever CUDA_VISIBLE_DEVICES says.
    """
    busy = set[str]()
    while (wanted := choose(busy)) is not None:
        taken = list[int]()
        for name in wanted:
            descriptor = _lock(identify(name))
            if descriptor is None:
                busy.add(name)
                break
            taken.append(descriptor)
        else:
            return Lease(wanted, tuple(taken))
        for descriptor in taken:
            os.close(descriptor)
    return None


def physical(name: str) -> str:
    """The GPU's own id, by NVML; its name where that cannot be told."""
    if not name.isdigit():
        return name
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            found = pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(int(name)))
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return name
    return found if isinstance(found, str) else str(found.decode())


def _lock(identity: str) -> int | None:
    where = folder()
    where.mkdir(mode=0o700, exist_ok=True)
    file = where / f"{re.sub(r'[^A-Za-z0-9-]', '-', identity)}.lock"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if try_lock(descriptor) is False:
        os.close(descriptor)
        return None
    return descriptor
