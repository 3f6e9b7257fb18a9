"""The variables by which torch, NCCL and CUDA are told how to behave: set in one place, before torch is imported.

A person's own value wins.

| variable | value | why |
| --- | --- | --- |
| TORCH_NCCL_ASYNC_ERROR_HANDLING | 0 | by default (3) torch's own watchdog ends the process at the first error, |
| | | before anything is saved; with 2 a collective returns numbers that mean nothing, and nobody says so |
| TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC | behind ours | by default torch ends a process after 8 minutes in a CUDA call |
| TORCH_NCCL_DUMP_ON_TIMEOUT | 0 | it ends the process, too; the record of collectives is printed by the watchdog here |
| TORCH_FR_BUFFER_SIZE, until torch 2.8 TORCH_NCCL_TRACE_BUFFER_SIZE | 2000 | that record, in collectives |
| PYTORCH_ALLOC_CONF, until torch 2.8 PYTORCH_CUDA_ALLOC_CONF | | expandable_segments:True, as batches of different |
| | | sizes leave gaps that nothing fits into |
"""

from __future__ import annotations

from collections.abc import MutableMapping
from importlib.metadata import version

TIMES_TIMEOUT = 4.0
SETUP_S = 7200.0
RECORDER = ("TORCH_FR_BUFFER_SIZE", "TORCH_NCCL_TRACE_BUFFER_SIZE")
ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")


def set_variables(environ: MutableMapping[str, str], timeout_s: float, torch: str | None = None) -> None:
    """Set what is not set. `timeout_s`: how long a rank may stand still; `torch`: its version, None: the installed."""
    is_new = [int(part) for part in (torch or version("torch")).split(".")[:2]] >= [2, 9]
    environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0")
    environ.setdefault("TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC", str(int(TIMES_TIMEOUT * max(SETUP_S, timeout_s))))
    environ.setdefault("TORCH_NCCL_DUMP_ON_TIMEOUT", "0")
    if not any(name in environ for name in RECORDER):
        environ[RECORDER[0 if is_new else 1]] = "2000"
    if not any(name in environ for name in ALLOCATOR):
        environ[ALLOCATOR[0 if is_new else 1]] = "expandable_segments:True"
