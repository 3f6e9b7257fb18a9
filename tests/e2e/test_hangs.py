"""A rank that hangs in the middle of training costs a restart, and the record says who it was."""

from __future__ import annotations

import os
import signal

import pytest
from tests.run_events import lines_of

pytestmark = pytest.mark.long


def test_a_stopped_rank_is_named_and_the_run_goes_on_without_a_person(yoloscale) -> None:  # type: ignore[no-untyped-def]
    options = ("model=yolo26n.yaml", "epochs=2", "batch=8", "nbs=8", "val=false", "debug.trace=true")
    hang = ("cluster.timeout_s=12", "cluster.max_restarts=1")
    process = yoloscale.start_training("stuck", *options, *hang)
    yoloscale.until(process, "stuck", steps=2)
    run = yoloscale.run_of("stuck")
    (started,) = [event for event in lines_of(run) if event["event"] == "attempt_started"]
    os.kill(next(each["pid"] for each in started["processes"] if each["rank"] == 1), signal.SIGSTOP)
    done = yoloscale.finish(process, "stuck", code=0, timeout_s=900)
    failed = [event for event in done.events("failed") if event.get("hang")]
    assert len(failed) == 1
    assert failed[0]["rank"] == 1
    assert failed[0]["host"] == started["processes"][1]["host"]
    assert failed[0]["error"].startswith("did not arrive at step ")
    assert "its process does not answer" in failed[0]["error"]
    assert failed[0]["error"].endswith("stacks are in logs/attempt-1")
    assert "most recent call first" in run.rank_log(1, 0).read_text()
    (restarted,) = done.events("restarted")
    assert restarted["rank"] == 1
    assert "did not arrive" in restarted["cause"]
    assert done.events("finished")
    assert len(done.events("attempt_started")) == 2
