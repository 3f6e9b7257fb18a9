"""GPUs that are cut into instances (MIG). CUDA shows a process one instance at most, so each rank is given its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yoloscale.system.variables import VISIBLE_GPUS


@dataclass(frozen=True)
class Instance:
    """What CUDA can be shown: an instance of a GPU, or a whole one; `name` as in CUDA_VISIBLE_DEVICES."""

    name: str
    gpu: str  # the id of the GPU that it is, or is a part of


def instances(nvml: Any) -> list[Instance]:
    """All that there is to compute on, in NVML's order; `nvml` is pynvml, initialised. Empty where no GPU is cut."""
    parts, is_cut = list[Instance](), False
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        gpu = text(nvml.nvmlDeviceGetUUID(handle))
        if not _is_cut(nvml, handle):
            parts.append(Instance(gpu, gpu))
            continue
        is_cut = True
        parts += [Instance(name, gpu) for name in _parts(nvml, handle)]
    return parts if is_cut else []


def own_instance(environ: Mapping[str, str], local_rank: int) -> dict[str, str]:
    """The variable that shows a rank its own instance alone; empty where those shown are no instances. Pure."""
    names = [name.strip() for name in environ.get(VISIBLE_GPUS, "").split(",")]
    if len(names) <= local_rank or not any(name.startswith("MIG-") for name in names):
        return {}
    return {VISIBLE_GPUS: names[local_rank]}


def are_of_one_gpu(parts: list[Instance], names: list[str]) -> bool:
    """Whether two of the named instances are parts of the same GPU, between which NCCL does not work. Pure."""
    gpus = [part.gpu for part in parts if part.name in names]
    return len(set(gpus)) < len(gpus)


def text(value: bytes | str) -> str:
    """A string of NVML, which is bytes in older releases of its Python package."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _is_cut(nvml: Any, handle: Any) -> bool:
    try:
        now, _ = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:  # a GPU that cannot be cut
        return False
    return bool(now)


def _parts(nvml: Any, handle: Any) -> list[str]:
    names = []
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            names.append(text(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))))
        except nvml.NVMLError:  # no instance in this place
            continue
    return names
