"""A loader worker that ends by itself is named with how it ended: PyTorch says less, and at any moment."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from typing import Any

import psutil

from yoloscale.system.processes import describe_exit

UNDELIVERED = 74  # exit code of a worker that could not hand over a batch
_SIGNAL = re.compile(r"DataLoader worker \(pid \d+\) is killed by signal: (.+?)\.")
_CODE = re.compile(r"DataLoader worker \(pid \d+\) exited unexpectedly with exit code (\d+)")
_WORKERS_SHOWN = 8


class WorkerDiedError(RuntimeError):
    """A loader worker has ended by itself."""


@contextmanager
def worker_deaths_named() -> Iterator[None]:
    """Raise WorkerDiedError in place of what PyTorch raises: in the main thread, whatever that does just then."""
    try:
        yield
    except RuntimeError as error:
        cause = error.__cause__  # the signal's name or the exit code, where the rank was waiting for the worker
        if (sentence := _sentence(str(cause)) or _sentence(str(error))) is None:
            raise
        raise WorkerDiedError(sentence) from error


def _sentence(text: str) -> str | None:
    """What has become of the worker, by PyTorch's words; None if they speak of something else."""
    if "DataLoader worker" not in text or "Caught" in text:  # a worker that lives and reports an exception
        return None
    if match := _SIGNAL.search(text):
        numbers = [number for number in signal.Signals if signal.strsignal(number) == match[1]]
        return f"a loader worker {describe_exit(-numbers[0])}" if numbers else f"a loader worker was killed: {match[1]}"
    if match := _CODE.search(text):
        if int(match[1]) == UNDELIVERED:
            why = "no room left in /dev/shm, or too many open files"
            return f"a loader worker could not hand its batch over ({why}: the log has its own words): write workers=0"
        return f"a loader worker {describe_exit(int(match[1]))}"
    return "a loader worker ended unexpectedly: the log may have its last words"


def end_if_undelivered() -> None:
    """Called in a worker: it ends if a batch cannot be handed over.

    Python drops such a batch and goes on, and the rank would wait for it for ever.
    """
    Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]


def _end(error: Exception, _batch: Any) -> None:
    traceback.print_exception(error)
    os._exit(UNDELIVERED)


def describe_workers() -> str:
    """What this rank's loader workers are doing, for a rank that waits for them; nothing if it has none."""
    workers = [child for child in multiprocessing.active_children() if child.pid is not None]
    if not workers:
        return ""
    states = ", ".join(f"pid {worker.pid} {_state(worker.pid)}" for worker in workers[:_WORKERS_SHOWN] if worker.pid)
    more = len(workers) - _WORKERS_SHOWN
    return f"its loader workers: {states}" + (f" and {more} more" if more > 0 else "")


def _state(pid: int) -> str:
    try:
        return {"disk-sleep": "waiting for a disk"}.get(status := psutil.Process(pid).status(), str(status))
    except psutil.Error:
        return "gone"
