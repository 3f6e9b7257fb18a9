"""Are two states the same, bit for bit?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import torch

MAY_DIFFER = ("clock", "tracker", "run_id")  # of a stored state: seconds of the clock, ids of the run and of trackers


def differing(state: Any, expected: Any, *, but: Collection[str] = MAY_DIFFER, name: str = "") -> Iterator[str]:
    """Names of the tensors and values that are not equal (atol 0), in nested dicts, lists and tuples.

    Args:
        but: keys that are not looked at, wherever they are.
    """
    if isinstance(expected, dict):
        if not isinstance(state, dict) or state.keys() != expected.keys():
            yield name
            return
        for key in expected:
            if key not in but:
                yield from differing(state[key], expected[key], but=but, name=f"{name}.{key}".strip("."))
    elif isinstance(expected, (list, tuple)):
        if not isinstance(state, (list, tuple)) or len(state) != len(expected):
            yield name
            return
        for index, (one, other) in enumerate(zip(state, expected, strict=True)):
            yield from differing(one, other, but=but, name=f"{name}.{index}")
    elif not _equal(state, expected):
        yield name


def _equal(value: Any, expected: Any) -> bool:
    if isinstance(expected, torch.Tensor):
        return isinstance(value, torch.Tensor) and value.dtype == expected.dtype and torch.equal(value, expected)
    return type(value) is type(expected) and bool(value == expected)
