"""The facts of a machine that a config is resolved and validated against. torch is not imported for them."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

from yoloscale.config import cpus


@dataclass(frozen=True)
class Machine:
    """GPUs that a process started here sees, CPUs it may use, and whether the CPU computes in bfloat16 natively."""

    gpu_count: int
    cpus: int
    has_bf16: bool


def this_machine() -> Machine:
    """Look at the machine this process runs on; takes milliseconds."""
    return Machine(gpu_count=_gpu_count(), cpus=cpus.available(), has_bf16=_has_bf16())


def _gpu_count() -> int:
    """GPUs by NVML, cut to CUDA_VISIBLE_DEVICES; 0 without a driver or with a torch that is built for CPUs only."""
    if not any(Path("/dev").glob("nvidia*")) and not Path("/dev/dxg").exists():
        return 0  # no device file, on WSL neither: spares the import below
    if not _torch_has_cuda():
        return 0
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            count = int(pynvml.nvmlDeviceGetCount())
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:  # no driver, no GPU
        return 0
    return _visible(count, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _visible(count: int, chosen: str | None) -> int:
    """How many of `count` GPUs CUDA shows: it stops at the first entry that names none. MIG devices count one each."""
    if chosen is None:
        return count
    seen = 0
    for entry in chosen.split(","):
        is_index = entry.strip().isdigit() and int(entry) < count
        if not is_index and not entry.strip().startswith(("GPU-", "MIG-")):
            break
        seen += 1
    return seen


def _torch_has_cuda() -> bool:
    """Whether the installed torch was built for CUDA, by its version.py."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    version = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    return re.search(r"^cuda\b[^=]*= *None", version, re.MULTILINE) is None


def _has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return False
    return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", flags) is not None
