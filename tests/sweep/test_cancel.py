"""Cancelling a sweep at once."""

from __future__ import annotations

from typing import cast

import pytest

from yoloscale.sweep.cancel import _frozen
from yoloscale.sweep.launchers import SweepLauncher


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
