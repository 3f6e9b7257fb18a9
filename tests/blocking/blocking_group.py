"""A process group that behaves as NCCL's does when a rank is gone: nothing is raised, and the main thread stands still.

`register()` makes it the backend "blocking". It computes with gloo, but whatever becomes of gloo's connections, a
collective that does not succeed blocks in native code, where no Python signal handler runs, until `abort` is called
from another thread; then it returns as if all were well, with numbers that mean nothing.
"""

from __future__ import annotations

import ctypes
import threading
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

NONSENSE = 7e7
pthread = ctypes.CDLL(None)


class Gate:
    """Closed until somebody opens it. `pass_through` waits in a call that signals do not interrupt."""

    def __init__(self) -> None:
        self._mutex = ctypes.create_string_buffer(128)  # all zero: an unlocked mutex
        self._is_open = threading.Lock()
        pthread.pthread_mutex_lock(self._mutex)

    def open(self) -> None:
        if self._is_open.acquire(blocking=False):
            pthread.pthread_mutex_unlock(self._mutex)

    def pass_through(self) -> None:
        pthread.pthread_mutex_lock(self._mutex)
        pthread.pthread_mutex_unlock(self._mutex)


class BlockingWork(dist._Work):  # type: ignore[misc,name-defined]
    def __init__(self, inner: Any, tensors: list[torch.Tensor], group: BlockingGroup) -> None:
        super().__init__()
        self._inner, self._tensors, self._group = inner, tensors, group
        self._gate, self._succeeded = Gate(), False
        group.gates.append(self._gate)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        try:
            self._inner.wait()
        except RuntimeError:
            return
        self._succeeded = True
        self._gate.open()

    def wait(self, timeout: Any = None) -> bool:
        self._gate.pass_through()
        self._group.gates.remove(self._gate)
        if not self._succeeded:
            for tensor in self._tensors:
                if tensor.is_floating_point():
                    tensor.fill_(NONSENSE)
        return True


class BlockingGroup(dist.ProcessGroup):
    def __init__(self, store: Any, rank: int, size: int, timeout: timedelta) -> None:
        super().__init__(rank, size)
        self._gloo = dist.ProcessGroupGloo(store, rank, size, timeout)
        self.gates: list[Gate] = []

    def getBackendName(self) -> str:  # noqa: N802
        return "blocking"

    def _work(self, inner: Any, tensors: Any) -> BlockingWork:
        flat = [part for tensor in tensors for part in (tensor if isinstance(tensor, list) else [tensor])]
        return BlockingWork(inner, flat, self)

    def allreduce(self, tensors: Any, options: Any = None) -> BlockingWork:
        options = options or dist.AllreduceOptions()
        return self._work(self._gloo.allreduce(tensors, options), tensors)

    def broadcast(self, tensors: Any, options: Any = None) -> BlockingWork:
        return self._work(self._gloo.broadcast(tensors, options or dist.BroadcastOptions()), tensors)

    def allgather(self, outputs: Any, tensors: Any, options: Any = None) -> BlockingWork:
        return self._work(self._gloo.allgather(outputs, tensors, options or dist.AllgatherOptions()), outputs)

    def gather(self, outputs: Any, tensors: Any, options: Any = None) -> BlockingWork:
        return self._work(self._gloo.gather(outputs, tensors, options or dist.GatherOptions()), outputs)

    def barrier(self, opts: Any = None) -> BlockingWork:
        return self._work(self._gloo.barrier(opts or dist.BarrierOptions()), [])

    def abort(self) -> None:
        for gate in list(self.gates):
            gate.open()


def _create(store: Any, rank: int, size: int, timeout: timedelta) -> BlockingGroup:
    return BlockingGroup(store, rank, size, timeout)


def register() -> None:
    dist.Backend.register_backend("blocking", _create, devices=["cpu"])
