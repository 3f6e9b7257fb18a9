"""Copies in host memory: right, independent of what the state becomes, and in the same memory every time."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from yoloscale.checkpoint.snapshot import HostCopies


def state() -> dict[str, Any]:
    return {
        "model": {
            "w": torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
            "n": torch.tensor(3),
        },
        "optimizer": {
            "state": {0: {"step": torch.tensor(1.0), "m": torch.ones(5)}},
            "groups": [{"params": [0]}],
        },
        "pair": (torch.zeros(2, dtype=torch.int64), "text", None),
    }


def tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for item in value for t in tensors(item)] if isinstance(value, (list, tuple)) else []


def test_a_copy_is_equal_and_its_own() -> None:
    original = state()
    taken = HostCopies().take(original)
    assert taken["pair"][1:] == ("text", None)
    assert taken["optimizer"]["groups"] == [{"params": [0]}]
    for copy, source in zip(tensors(taken), tensors(original), strict=True):
        assert torch.equal(copy, source)
        assert copy.stride() == source.stride()
        source.add_(1)
        assert not torch.equal(copy, source)


def test_the_memory_is_used_again() -> None:
    copies, original = HostCopies(), state()
    before = [t.data_ptr() for t in tensors(copies.take(original))]
    for source in tensors(original):
        source.mul_(2)
    taken = copies.take(original)
    assert [t.data_ptr() for t in tensors(taken)] == before
    assert all(torch.equal(copy, source) for copy, source in zip(tensors(taken), tensors(original), strict=True))


def test_a_state_that_has_changed_its_shape_is_copied_too() -> None:
    """An optimiser has no state before its first step."""
    copies = HostCopies()
    copies.take({"model": torch.ones(3), "optimizer": {}, "last": torch.ones(7)})
    taken = copies.take({"model": torch.zeros(3), "optimizer": {0: torch.full((4,), 5)}, "last": torch.zeros(7)})
    assert taken["optimizer"][0].tolist() == [5, 5, 5, 5]
    assert taken["last"].tolist() == [0.0] * 7
    assert taken["model"].tolist() == [0.0] * 3
    assert copies.take({"model": torch.ones(3)})["model"].tolist() == [1.0] * 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_from_a_gpu_into_page_locked_memory() -> None:
    source = torch.randn(1000, device="cuda")
    taken = HostCopies().take({"w": source})["w"]
    assert taken.is_pinned()
    assert torch.equal(taken, source.cpu())
