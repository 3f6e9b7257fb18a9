"""Makes ranks meet in a process group that blocks where a peer is gone, as NCCL does, and one of them fail.

Found by Python at its start wherever this folder is on PYTHONPATH; other processes than ranks are left alone.
FAULT: "HOW:RANK:NUMBER", what that rank does before its all-reduce of that number, in the first attempt: "kill", "stop"
or "raise". The time of it goes to the file FAILED_AT.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


def install() -> None:
    import torch.distributed as dist
    from tests.blocking.blocking_group import BlockingGroup, register

    register()
    join = dist.init_process_group
    dist.init_process_group = lambda backend, **options: join("blocking", **options)  # type: ignore[assignment]
    how, rank, number = os.environ.get("FAULT", "none:-1:0").split(":")
    if int(rank) == int(os.environ["RANK"]) and os.environ.get("YOLOSCALE_ATTEMPT") == "1":
        break_at(BlockingGroup, how, int(number))


def break_at(group: Any, how: str, number: int) -> None:
    allreduce, calls = group.allreduce, [0]

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            Path(os.environ["FAILED_AT"]).write_text(str(time.time()))
            if how == "raise":
                raise ValueError("the loss is a teapot")
            os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGSTOP)
        return allreduce(self, *arguments, **options)

    group.allreduce = counted


if "RANK" in os.environ and "LOCAL_RANK" in os.environ:
    install()
