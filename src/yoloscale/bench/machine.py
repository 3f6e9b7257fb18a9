"""The machine a measurement was taken on. Nothing heavy is imported for it."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from yoloscale.system import cpus
from yoloscale.system.machine import this_machine

PACKAGES = ("torch", "ultralytics", "yoloscale")


def describe_machine() -> dict[str, Any]:
    """CPU model, CPUs usable, GPUs, versions."""
    return {
        "cpu": cpu_model(_read(Path("/proc/cpuinfo"))) or platform.processor() or platform.machine(),
        "cpus": cpus.available(),
        "gpus": _gpu_names(this_machine().gpu_count),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
    }


def cpu_model(cpuinfo: str) -> str:
    """The name of the first CPU in the text of /proc/cpuinfo, and how fast it computes; empty if it is not there."""
    name = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
    if name is None:
        return ""
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if re.search(rf"\b{flag}\b", cpuinfo)]
    return f"{name[1].strip()} ({', '.join(flags)})" if flags else name[1].strip()


def _gpu_names(count: int) -> list[str]:
    if count == 0:
        return []
    import pynvml

    pynvml.nvmlInit()
    try:
        names = [pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
    finally:
        pynvml.nvmlShutdown()
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "not installed"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # not Linux
        return ""
