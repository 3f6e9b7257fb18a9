"""Long work on files moves the heartbeat, so that only standing still counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from yoloscale.data import cache
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import EACH, HEARTBEAT, SETTING_UP, Beat
from yoloscale.system.in_threads import CHUNK


class Beats:
    """What a heartbeat is told, while a test runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.phases: list[str] = []
        monkeypatch.setattr(HEARTBEAT, "last", Beat(SETTING_UP, 0))
        monkeypatch.setattr(HEARTBEAT, "at", lambda phase: self.phases.append(phase.name))


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> Beats:
    return Beats(monkeypatch)


def test_what_is_gone_through_is_the_same_and_moves(beats: Beats) -> None:
    def items() -> Iterator[int]:
        yield from range(3 * EACH)

    assert list(HEARTBEAT.through(items())) == list(range(3 * EACH))
    assert beats.phases == ["setting up"] * 3


def test_caching_images_moves(beats: Beats, tmp_path: Path) -> None:
    files = []
    for number in range(2 * CHUNK):
        (tmp_path / f"{number}.txt").touch()
        files.append(str(tmp_path / f"{number}.txt"))
    cache.fingerprint(files)
    assert beats.phases == ["setting up"] * 2
    image = np.zeros((2, 2, 3), np.uint8)
    images = cache.build("disk", 2 * EACH, lambda i: (image, (2, 2)), "key", tmp_path / "c", Ranks(), 1)
    assert len(images) == 2 * EACH
    assert beats.phases == ["setting up"] * 4
