"""Checkpoints that are there already."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.checkpoint.states import state

from yoloscale.checkpoint.store import CheckpointStore, Retention


@pytest.fixture
def checkpoints(tmp_path: Path) -> CheckpointStore:
    """Three steps saved, two kept."""
    made = CheckpointStore(tmp_path / "checkpoints", Retention(2))
    for step in (1, 2, 3):
        made.save(state(step), {"step": step, "epoch": 0})
    return made
