from __future__ import annotations

from typing import Any

import pytest
import torch

from yoloscale.checkpoint.compare import differing


def state() -> dict[str, Any]:
    return {"model": {"w": torch.ones(3)}, "optimizer": {"groups": [{"lr": 0.1}]}, "clock": 1.0, "best": None}


def test_equal_states_differ_in_nothing() -> None:
    assert list(differing({**state(), "clock": 2.0}, state())) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda s: s["model"]["w"].add_(2**-23), "model.w"),
        (lambda s: s["model"].update(w=torch.ones(3, dtype=torch.float64)), "model.w"),
        (lambda s: s["model"].update(v=torch.ones(1)), "model"),
        (lambda s: s["optimizer"]["groups"][0].update(lr=0.2), "optimizer.groups.0.lr"),
        (lambda s: s["optimizer"]["groups"].append({}), "optimizer.groups"),
        (lambda s: s.update(best=0.0), "best"),
    ],
)
def test_what_differs_is_named(change: Any, name: str) -> None:
    other = state()
    change(other)
    assert list(differing(other, state())) == [name]
