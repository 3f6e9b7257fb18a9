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
    """Lock the GPUs that `choose` takes, given those that are busy; None if others have too many of them.

    `identify`: what a GPU is called whatever CUDA_VISIBLE_DEVICES says.
    """
    busy = set[str]()
    while (gpus := choose(busy)) is not None:
        descriptors = list[int]()
        for name in gpus:
            descriptor = _lock(identify(name))
            if descriptor is None:
                busy.add(name)
                break
            descriptors.append(descriptor)
        else:
            return Lease(gpus, tuple(descriptors))
        Lease(gpus, tuple(descriptors)).release()
    return None


def physical(name: str) -> str:
    """The GPU's own id, by NVML; its name where that cannot be told."""
    if not name.isdigit():
        return name
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            uuid = pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(int(name)))
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return name
    return uuid if isinstance(uuid, str) else str(uuid.decode())


def _lock(identity: str) -> int | None:
    folder().mkdir(mode=0o700, exist_ok=True)
    file = folder() / f"{re.sub(r'[^A-Za-z0-9-]', '-', identity)}.lock"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if try_lock(descriptor) is False:
        os.close(descriptor)
        return None
    return descriptor
