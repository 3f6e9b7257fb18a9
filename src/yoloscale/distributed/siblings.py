"""The other ranks on this machine, watched by the kernel: a process that ends is seen at once, and costs nothing."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import psutil

from yoloscale.distributed.environment import Ranks


class Siblings:
    """Those of a job's processes that this one's parent has started, too. Linux only; elsewhere nobody is seen."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._rank_of: dict[int, int] = {}  # pidfd → rank

    def watch(self, processes: Iterable[Mapping[str, Any]], me: Ranks) -> None:
        """Watch those on this host. `processes`: rank, host and pid of each, as they see themselves."""
        if not hasattr(os, "pidfd_open"):
            return
        parent = os.getppid()
        for process in processes:
            pid = int(process["pid"])
            if process["host"] != me.host or process["rank"] == me.rank:
                continue
            with suppress(OSError, psutil.Error):  # gone since; or a kernel of before 2019
                # a pid of another container means another process here, which has another parent
                if psutil.Process(pid).ppid() == parent:
                    descriptor = os.pidfd_open(pid)
                    self._rank_of[descriptor] = int(process["rank"])  # first: `gone` is called in another thread
                    self._poll.register(descriptor, select.POLLIN)

    def gone(self) -> list[int]:
        """Ranks whose processes have ended since the last call."""
        ended = []
        for descriptor, _ in self._poll.poll(0):
            self._poll.unregister(descriptor)
            os.close(descriptor)
            ended.append(self._rank_of.pop(descriptor))
        return sorted(ended)

    def close(self) -> None:
        for descriptor in self._rank_of:
            self._poll.unregister(descriptor)
            os.close(descriptor)
        self._rank_of.clear()
