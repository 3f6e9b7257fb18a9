"""Ask a process of its own for what only Ultralytics knows or can download, so that this one need not import it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from yoloscale.system.variables import ULTRALYTICS_RANK

_SAY_EVERY_S = 2.0


class FetchError(Exception):
    """What was asked for could not be had; the message says why in one line."""


def run_fetch(arguments: Sequence[str], say: Callable[[str], None]) -> str:
    """Run `python -m yoloscale.yolo.fetch ARGUMENTS`; pass on its progress, return its answer. Raises FetchError."""
    command = [sys.executable, "-m", "yoloscale.yolo.fetch", *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in ULTRALYTICS_RANK}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            last, said_at = "", float("-inf")
            for line in process.stderr:  # its answer is one short line, so it never waits for us to read it
                last = line.strip() or last
                if line.strip() and time.monotonic() - said_at >= _SAY_EVERY_S:
                    said_at = time.monotonic()
                    say(line.strip())
            output = process.stdout.read()
        except BaseException:
            process.terminate()
            raise
    try:
        answer = json.loads(output)
    except ValueError:
        raise FetchError(last or f"the process that was to answer ended with exit code {process.returncode}") from None
    if "error" in answer:
        raise FetchError(str(answer["error"]))
    return str(answer["answer"])
