"""Work in threads: on very many files, since file systems answer many questions at once; and beside what goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from yoloscale.system.remarks import Say, silent

_Result = TypeVar("_Result")
_THREADS, CHUNK = 16, 256
_FIRST_S, _EVERY_S = 5.0, 15.0


def in_threads(
    work: Callable[[Sequence[str]], _Result],
    files: Sequence[str],
    what: str = "files",
    say: Say = silent,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[_Result]:
    """What `work` makes of each chunk of the files, in their order.

    `say` is told how many of `what` are done if it takes long. Who leaves earlier waits for the chunks at work alone.
    """
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    pool, done, due = ThreadPoolExecutor(_THREADS), 0, clock() + _FIRST_S
    try:
        for chunk, result in zip(chunks, pool.map(work, chunks), strict=True):
            yield result
            done += len(chunk)
            if clock() >= due and done < len(files):
                due = clock() + _EVERY_S
                say(f"{done} of {len(files)} {what}")
    finally:
        pool.shutdown(cancel_futures=True)


def in_background(call: Callable[[], _Result], name: str) -> Future[_Result]:
    """What the call returns or raises, from a thread of its own, which ends with it."""
    pool = ThreadPoolExecutor(1, thread_name_prefix=name)
    future = pool.submit(call)
    pool.shutdown(wait=False)
    return future
