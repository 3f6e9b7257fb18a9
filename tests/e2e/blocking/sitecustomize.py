"""Makes ranks meet in a process group that blocks where a peer is gone, as NCCL does, and one of them fail.

Found by Python at its start wherever this folder is on PYTHONPATH; other processes than ranks are left alone.
FAULT: "HOW:RANK:STEP", what that rank does before it sends the gradients of that step, in the first attempt: "kill",
"stop" or "raise". The time of it goes to the file FAILED_AT. With GROUP=gloo they meet in gloo, as CPUs do.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


def install() -> None:
    import torch.distributed as dist
    from tests.blocking.blocking_group import register

    if os.environ["GROUP"] == "blocking":
        register()
        join = dist.init_process_group
        dist.init_process_group = lambda backend, **options: join("blocking", **options)  # type: ignore[assignment]
    how, rank, number = os.environ.get("FAULT", "none:-1:0").split(":")
    if int(rank) == int(os.environ["RANK"]) and os.environ.get("YOLOSCALE_ATTEMPT") == "1":
        break_at(dist, how, int(number))


def break_at(dist: Any, how: str, number: int) -> None:
    all_reduce, calls = dist.all_reduce, [0]

    def counted(tensor: Any, *arguments: Any, **options: Any) -> Any:
        calls[0] += tensor.numel() > 1  # one a step, of the gradients; a barrier has one number
        if calls[0] == number:
            Path(os.environ["FAILED_AT"]).write_text(str(time.time()))
            if how == "raise":
                raise ValueError("the loss is a teapot")
            os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGSTOP)
        return all_reduce(tensor, *arguments, **options)

    dist.all_reduce = counted


if "RANK" in os.environ and "LOCAL_RANK" in os.environ:
    install()
