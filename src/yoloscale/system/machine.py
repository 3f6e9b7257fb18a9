"""The facts of a machine that a config is resolved and validated against. torch is not imported for them."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yoloscale.system import cpus, mig
from yoloscale.system.variables import VISIBLE_GPUS


@dataclass(frozen=True)
class Machine:
    """What a process started here may compute on.

    gpu_count: GPUs that it sees, or instances of GPUs that are cut (MIG).
    has_bf16: whether the CPU computes in bfloat16 natively.
    shares_gpu: whether two of those instances are parts of one GPU.
    """

    gpu_count: int
    cpus: int
    has_bf16: bool
    shares_gpu: bool = False


def this_machine() -> Machine:
    """Look at the machine this process runs on; takes milliseconds."""
    count, instances = _gpus()
    chosen = os.environ.get(VISIBLE_GPUS)
    names = chosen.split(",") if chosen is not None else [instance.name for instance in instances]
    return Machine(
        gpu_count=_visible(count, chosen),
        cpus=cpus.available(),
        has_bf16=cpu_has_bf16(),
        shares_gpu=mig.are_of_one_gpu(instances, [name.strip() for name in names]),
    )


def show_instances(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to the environment of ranks on GPUs, so that they see every instance where GPUs are cut (MIG)."""
    if VISIBLE_GPUS in environ:  # somebody has chosen among them
        return {}
    instances = _gpus()[1]
    return {VISIBLE_GPUS: ",".join(instance.name for instance in instances)} if instances else {}


def _gpus() -> tuple[int, list[mig.Instance]]:
    """How many GPUs or instances NVML knows of, and what they are if some are cut.

    None without a driver or with a torch that is built for CPUs only.
    """
    if not any(Path("/dev").glob("nvidia*")) and not Path("/dev/dxg").exists():
        return 0, []  # no device file, on WSL neither: spares the import below
    if not _torch_has_cuda():
        return 0, []
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            instances = mig.instances(pynvml)
            return len(instances) or int(pynvml.nvmlDeviceGetCount()), instances
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:  # no driver, no GPU
        return 0, []


def _visible(count: int, chosen: str | None) -> int:
    """How many of `count` GPUs CUDA shows: it stops at the first entry that names none. MIG devices count one each."""
    if chosen is None:
        return count
    number = 0
    for entry in chosen.split(","):
        is_index = entry.strip().isdigit() and int(entry) < count
        if not is_index and not entry.strip().startswith(("GPU-", "MIG-")):
            break
        number += 1
    return number


def _torch_has_cuda() -> bool:
    """Whether the installed torch was built for CUDA, by its version.py."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    version = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    return re.search(r"^cuda\b[^=]*= *None", version, re.MULTILINE) is None


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 natively (AVX512-BF16, AMX, Arm); emulated it is slower than fp32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return False
    return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", flags) is not None
