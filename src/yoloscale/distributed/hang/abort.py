"""Getting a main thread out of a collective that will never end, and what NCCL was doing then."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d

SHOWN = 40  # collectives of the flight recorder: the last ones
FIELDS = ("record_id", "process_group", "profiling_name", "state")


def can_abort() -> bool:
    """Whether a process group of this process can be aborted. gloo's cannot: it sees closed connections itself."""
    return any(backend != "gloo" for backend in _backends())


def abort_collectives() -> None:
    """Abort all communicators of this process, from any thread but the one that waits. Not collective.

    The process groups stay known to torch: whoever waits in one returns, with numbers that mean nothing or an error.
    The newest first, as torch itself does it; NCCL's in one go, since aborting one may wait for another.
    """
    world = distributed_c10d._world
    groups = sorted(world.pg_names, key=lambda group: world.pg_names[group], reverse=True)
    parts = [part for group in groups for part in _parts(group)]
    first = next((part for part in parts if hasattr(part, "_group_start")), None)
    if first is not None:
        first._group_start()
    try:
        for part in parts:
            part.abort()
    finally:
        if first is not None:
            first._group_end()


def dump_flight_recorder() -> None:
    """Print NCCL's last collectives, where this torch and backend keep a record of them."""
    if "nccl" not in "".join(_backends()):
        return
    module: Any = getattr(torch._C, "_distributed_c10d", None)
    dump = getattr(module, "_dump_nccl_trace_json", None)
    if dump is None:
        return
    try:
        entries = json.loads(dump(includeCollectives=True, onlyActive=False)).get("entries", [])
    except (RuntimeError, TypeError, ValueError) as error:
        print(f"NCCL's flight recorder says nothing: {error}", file=sys.stderr, flush=True)
        return
    print(f"NCCL's flight recorder, the last {min(len(entries), SHOWN)} of {len(entries)}:", file=sys.stderr)
    for entry in entries[-SHOWN:]:
        fields = [f"{key}={entry[key]}" for key in FIELDS if key in entry]
        sizes = f"in={entry.get('input_sizes')} out={entry.get('output_sizes')}"
        print(f"  {' '.join(fields)} {sizes}", file=sys.stderr)
    sys.stderr.flush()


def _backends() -> list[str]:
    """Names of the backends of all process groups: "gloo", "nccl", "cpu:gloo,cuda:nccl"."""
    if not dist.is_initialized():
        return []
    return [str(backend) for backend, _ in distributed_c10d._world.pg_map.values()]


def _parts(group: Any) -> list[Any]:
    """What of a process group can be aborted: the group itself if it is written in Python, else its backends."""
    if type(group) is not dist.ProcessGroup and hasattr(group, "abort"):
        return [group]
    parts = []
    for device in group._device_types:
        backend = group._get_backend(device)
        if hasattr(backend, "abort") and backend not in parts:
            parts.append(backend)
    return parts
