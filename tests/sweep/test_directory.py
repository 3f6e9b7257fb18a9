"""The lock on a sweep's folder."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from yoloscale.errors import ConfigError
from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.sweep.directory import take


def test_who_waits_for_a_sweep_that_is_removed_does_not_hold_the_lock_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a new sweep that sbatch refuses: who comes next makes the folder, and takes the lock that lies there."""
    sweep = SweepDirectory(tmp_path / "s")
    first = take(sweep)
    opened = []

    def removed(descriptor: int, operation: int) -> None:
        if not opened:
            opened.append(descriptor)
            shutil.rmtree(sweep.path)
            first.release()
        real(descriptor, operation)

    real = fcntl.flock
    monkeypatch.setattr("fcntl.flock", removed)
    with take(sweep):
        monkeypatch.setattr("fcntl.flock", real)
        with pytest.raises(ConfigError, match="another command"):
            take(sweep, patience_s=0.0)
    take(sweep, patience_s=0.0).release()
