"""A run that was stopped and resumed ends as one that never was."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yoloscale.runs import events

RUN = ("batch=16", "nbs=16", "epochs=3", "debug.trace=true", "cluster.threads=1", "workers=0")
STEPS_PER_EPOCH = 4


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_moved_and_resumed(yoloscale: Any, model_of: Callable[[str], str], tmp_path: Path) -> None:
    """Power cut: no signal handler runs. The folder is moved before it goes on: it holds no path to itself."""
    whole = yoloscale.train("whole", *RUN, model_of("detect"))
    process = yoloscale.start_training("killed", *RUN, model_of("detect"))
    yoloscale.until(process, "killed", STEPS_PER_EPOCH + 2)
    run = yoloscale.run_of("killed")
    ranks = [entry["pid"] for e in events.history(run) if e["event"] == "attempt_started" for entry in e["processes"]]
    process.kill()
    for rank in ranks:
        os.kill(rank, signal.SIGKILL)
    process.communicate(timeout=60)
    shutil.move(run.path, run.path.with_name("moved elsewhere"))
    resumed = yoloscale.resume("moved elsewhere")
    last = {line["step"]: line for line in resumed.trace}
    assert [last[step] for step in sorted(last)] == whole.trace, "steps after the checkpoint are done again, alike"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_same_name_again_goes_on(yoloscale: Any, model_of: Callable[[str], str]) -> None:
    process = yoloscale.start_training("again", *RUN, model_of("detect"))
    yoloscale.until(process, "again", STEPS_PER_EPOCH + 1)
    process.send_signal(signal.SIGTERM)
    yoloscale.finish(process, "again", 75, timeout_s=100)
    done = yoloscale.train("again", *RUN, model_of("detect"))
    assert [line["step"] for line in done.trace] == list(range(1, 3 * STEPS_PER_EPOCH + 1))
