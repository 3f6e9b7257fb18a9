"""Building the data sets of a task moves the heartbeat, however long it lasts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yoloscale.dist.heartbeat import HEARTBEAT, Phase


@pytest.mark.parametrize("task", ["detect", "classify", "depth"])
def test_the_scan_of_labels_and_the_look_at_all_files_are_signs_of_life(
    parts_of: Callable[..., Any], cache: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """With a label cache one for each set's look at its files; without it the scan and another look, too."""
    from ultralytics.data import dataset

    from yoloscale.yolo import datasets

    parts, before = parts_of(task), (dataset.TQDM, dataset.get_hash)
    beats: list[Phase] = []
    monkeypatch.setattr(HEARTBEAT, "at", beats.append)
    datasets.build(parts.trainer)
    cached = len(beats)
    for file in cache.rglob("*.cache"):
        file.unlink()
    beats.clear()
    datasets.build(parts.trainer)
    assert cached >= 2
    assert len(beats) >= cached + 2
    assert {beat.name for beat in beats} == {"setting up"}
    assert (dataset.TQDM, dataset.get_hash) == before
