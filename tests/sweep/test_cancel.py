"""Cancelling a sweep at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.status import Status
from yoloscale.sweep import cancel
from yoloscale.sweep.cancel import _frozen, cancel_points
from yoloscale.sweep.launchers import SweepLauncher

from .conftest import Frozen


def test_launchers_that_were_stopped_are_killed_also_if_a_point_cannot_be() -> None:
    told: list[str] = []

    class Launcher:
        def freeze(self) -> None:
            told.append("freeze")

        def kill(self) -> None:
            told.append("kill")

    here = [cast(SweepLauncher, Launcher()), cast(SweepLauncher, Launcher())]
    with pytest.raises(OSError, match="full"), _frozen(here):
        raise OSError("full")
    assert told == ["freeze", "freeze", "kill", "kill"]


def test_how_many_still_save_is_told_by_the_last_look_at_them(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = frozen("name=s", "seed=1,2", "device=cpu", "cluster.procs_per_node=1").directory
    looks = [["running", "running"], ["running", "finished"]]

    def statuses(runs: Sequence[RunDirectory]) -> list[Status]:
        return [
            replace(cancel.status(run), state=state, attempt=1) for run, state in zip(runs, looks.pop(0), strict=True)
        ]

    monkeypatch.setattr(cancel, "statuses", statuses)
    assert cancel_points(sweep, timeout_s=0.0) == (2, 1)
    assert not looks, "the scheduler is not asked once more for the same"
    assert [events.last_attempt(events.history(run)) for run in sweep.runs()] == [0, 0]
    assert all(run.stop_request.exists() for run in sweep.runs())
