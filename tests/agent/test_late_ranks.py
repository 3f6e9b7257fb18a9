"""Ranks beside those of a run that goes on: what ends them, and what is on record of it; the ranks are stand-ins."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.worker.predict.prediction_runs import config_of, make_run, write_images

from yoloscale.agent import late_ranks
from yoloscale.agent.attempt import Observer
from yoloscale.agent.outcome import Outcome
from yoloscale.exit_codes import FAILED, FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

Late = Callable[..., "tuple[RunDirectory, Outcome]"]


@pytest.fixture
def late(tmp_path: Path, standin: None) -> Late:
    """Take part, with one rank, in a run that ends only if somebody says so."""

    def take_part(
        *, script: dict[str, Any] | None = None, then: Callable[[RunDirectory], None] = lambda run: None, **how: Any
    ) -> tuple[RunDirectory, Outcome]:
        cluster = {"time": how.pop("time")} if "time" in how else {}
        config = config_of(tmp_path / "model.pt", write_images(tmp_path / "images", 4), unit=1, **cluster)
        config.origin.images = 4
        run = make_run(tmp_path / "run", config)
        (run.path / "standin.json").write_text(json.dumps(script or {"until": "go"}))
        events.append(run, events.AttemptLaunched(attempt=1, host="elsewhere", pid=1))
        has_joined = False

        def watch() -> None:
            nonlocal has_joined
            if not has_joined and any(isinstance(event, events.Joined) for event in events.history(run)):
                has_joined = True
                then(run)

        return run, late_ranks.run_late(run, config, Observer(watch), **how)

    return take_part


def words(run: RunDirectory) -> list[events.Event]:
    kinds = (events.LateLaunched, events.LateExited)
    return [event for event in events.history(run) if isinstance(event, kinds)]


@pytest.mark.parametrize("how", [{"left_s": lambda: 0.0}, {"time": "0:02"}], ids=["end of the job", "time limit"])
def test_the_time_that_they_have_here_ends_them(late: Late, how: dict[str, Any]) -> None:
    run, outcome = late(**how, start="40_3.0.0")
    assert outcome.exit_code == STOPPED
    launched, exited = words(run)
    assert isinstance(launched, events.LateLaunched)
    assert isinstance(exited, events.LateExited)
    assert (launched.ranks, launched.start) == ((1,), "40_3.0.0")
    assert (exited.exit_code, exited.start) == (STOPPED, "40_3.0.0")


def test_a_cancel_of_the_run_ends_them(late: Late) -> None:
    run, outcome = late(then=lambda run: events.append(run, events.Cancelled()))
    assert outcome.exit_code == INTERRUPTED
    assert [getattr(event, "exit_code", None) for event in words(run)] == [None, INTERRUPTED]


def test_a_stop_that_the_others_have_honoured_already_ends_them(late: Late) -> None:
    stopped = events.Preempted(attempt=1, step=0, epoch=0, signal="STOP", outcome="preempted")
    assert late(then=lambda run: events.append(run, stopped))[1].exit_code == STOPPED


def test_a_cancel_of_another_element_does_not(late: Late) -> None:
    def cancel(run: RunDirectory) -> None:
        events.append(run, events.Cancelled(job="40_0"))
        (run.path / "go").touch()

    assert late(then=cancel)[1].exit_code == FINISHED


def test_one_that_is_killed_is_told_and_the_run_is_not_failed(late: Late) -> None:
    run, outcome = late(script={"break": {"rank": 1, "how": "SIGKILL"}})
    assert outcome.exit_code == FAILED
    assert outcome.failure is not None
    assert outcome.failure.exit_code == -signal.SIGKILL
    exited = words(run)[-1]
    assert isinstance(exited, events.LateExited)
    assert exited.exit_code == FAILED
    assert not any(isinstance(event, (events.Failed, events.Exited)) for event in events.history(run))
