"""A run that was stopped and resumed ends as one that never was."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from yoloscale.runs import events

RUN = ("batch=16", "nbs=16", "epochs=3", "debug.trace=true", "cluster.threads=1", "workers=0")
STEPS_PER_EPOCH = 4


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_the_trace_is_that_of_the_uninterrupted_run(
    yoloscale: Any, model_of: Callable[[str], str], number: signal.Signals, code: int
) -> None:
    whole = yoloscale.train("whole", *RUN, model_of("detect"))
    process = yoloscale.start_training("stopped", *RUN, model_of("detect"))
    yoloscale.until(process, "stopped", STEPS_PER_EPOCH + 1)
    process.send_signal(number)
    stopped = yoloscale.finish(process, "stopped", code, timeout_s=100)
    done = len(stopped.trace)
    assert STEPS_PER_EPOCH < done < 3 * STEPS_PER_EPOCH
    saved = stopped.events("checkpoint_saved")[-1]
    assert saved["step"] == done
    preempted = stopped.events("preempted")[-1]
    assert (preempted["step"], preempted["signal"]) == (done, number.name)
    resumed = yoloscale.resume("stopped")
    assert resumed.trace == whole.trace
    state, expected = resumed.state(), whole.state()
    for part in ("model", "average"):
        assert not [name for name, value in expected[part].items() if not torch.equal(state[part][name], value)]
    assert resumed.events("training_started")[-1]["step"] == done
    assert len(resumed.events("finished")) == 1


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
