from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yoloscale.checkpoint.state import KEYS, Best, Position, Progress, Recovery, StateError, pack, unpack

TENSORS: dict[str, Any] = {"model": 1, "average": 2, "average_updates": 3, "optimizer": 4, "scaler": 5}
PROGRESS = Progress(
    position=Position(epoch=2, step=3, total=19, epochs=7),
    best=Best(fitness=0.25, epoch=2),
    recovery=Recovery(scale=0.5, rollbacks=1, skipped=2, skipped_in_all=12),
    means={"images": 8.0, "box_loss": 3.5},
    mosaic_off={"epoch": 4, "close_mosaic": 3},
    clock=12.5,
    tracker={"wandb": "abc"},
    seed=11,
)


def test_what_is_packed_is_unpacked() -> None:
    state = pack(TENSORS, PROGRESS)
    assert set(state) == KEYS
    assert unpack(state) == (TENSORS, PROGRESS)


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match=r"version 99, this yoloscale reads up to 4"):
        unpack({**pack(TENSORS, PROGRESS), "version": 99})


def test_missing_and_unknown_keys_are_named() -> None:
    state = pack(TENSORS, PROGRESS)
    del state["scaler"]
    with pytest.raises(ValueError, match=r"lacks \['scaler'\] and has unknown \['novelty'\]"):
        unpack({**state, "novelty": 1})


def test_nothing_is_packed_that_is_not_listed() -> None:
    with pytest.raises(AssertionError):
        pack({**TENSORS, "novelty": 1}, PROGRESS)


def test_a_part_that_lacks_a_number_is_named() -> None:
    state = pack(TENSORS, PROGRESS)
    del state["position"]["total"]
    with pytest.raises(StateError, match=r"'position' of the checkpoint lacks \['total'\] and has unknown \[\]"):
        unpack(state)


def test_a_state_of_version_1_is_taken_up() -> None:
    state = pack(TENSORS, PROGRESS)
    del state["recovery"]["skipped_in_all"]
    tensors, progress = unpack({**state, "version": 1, "productive_s": 9.5})
    assert tensors == TENSORS
    assert progress.position == PROGRESS.position
    assert progress.recovery == Recovery(scale=0.5, rollbacks=1, skipped=2, skipped_in_all=0)


def test_a_state_of_version_3_does_not_know_when_mosaic_ended() -> None:
    state = pack(TENSORS, PROGRESS)
    del state["mosaic_off"]
    assert unpack({**state, "version": 3}) == (TENSORS, replace(PROGRESS, mosaic_off={}))
