"""Rendering shared out over processes: started, counted, and gone with whoever started them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence


def render_in_processes(command: Sequence[str], processes: int, total: int, say: Callable[[str], None]) -> None:
    """Start `command PART PARTS` for each part, and tell how many images of all are done; none outlives this.

    All print numbers of images to one pipe. A process ends by itself when this one dies: it watches its standard input
    close. Raises RuntimeError with the last words of one that fails.
    """
    done, tenth = 0, 1
    with contextlib.ExitStack() as stack:
        reading, writing = os.pipe()
        counts, workers = stack.enter_context(os.fdopen(reading)), []
        with os.fdopen(writing, "wb") as pipe:
            for part in range(processes):
                stderr = stack.enter_context(tempfile.TemporaryFile("w+"))
                words = [*command, str(part), str(processes)]
                worker = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=pipe, stderr=stderr)
                stack.enter_context(worker)  # waits at the end of the block
                stack.callback(worker.kill)
                workers.append((worker, stderr))
        for line in counts:
            done += int(line)
            if 10 * done >= tenth * total and done < total:
                tenth = 10 * done // total + 1
                say(f"rendered {done} of {total} images")
            if any(worker.poll() for worker, _ in workers):
                break
        for worker, stderr in sorted(workers, key=lambda each: not each[0].poll()):  # one that has failed first
            if code := worker.wait():
                stderr.seek(0)
                raise RuntimeError(f"rendering images failed: {stderr.read().strip() or f'exit code {code}'}")
