"""Sums over the batches of all ranks that come out alike, to the last bit, whoever had which batch.

Floating-point addition depends on its order. So no rank adds up what it has: rank 0 gets the addends of all, puts them
in the order of the batches, and adds them one after the other, as one process would have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")


class Recorder(torch.Tensor):
    """A sum that is not taken: `recorder += addend` keeps the addend, on the host.

    It stands where a metric of Ultralytics has its running sum, and has that one's shape, type and device.
    """

    # all else that is done with it makes plain tensors
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    addends: list[torch.Tensor]

    def __iadd__(self, addend: torch.Tensor) -> Recorder:  # type: ignore[override,misc]
        self.addends.append(addend.detach().cpu())
        return self


def recorder_like(zeros: torch.Tensor) -> Recorder:
    """A recorder of what would be added to this tensor."""
    recorder = zeros.as_subclass(Recorder)
    recorder.addends = []
    return recorder


def in_order(shares: Iterable[tuple[int, T]]) -> list[T]:
    """The ranks' shares in the order of their batches: each with the number of its first one. Pure.

    A share of no batches may have any number.
    """
    return [share for _, share in sorted(shares, key=lambda item: item[0])]


def total(zeros: torch.Tensor, addends: Iterable[torch.Tensor]) -> torch.Tensor:
    """The addends added up one after the other, as `zeros += addend` does; on the device of `zeros`."""
    total = zeros.clone()
    for addend in addends:
        total += addend.to(zeros.device)
    return total


def means(batches: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """Means of the losses over images: batches in order, each with its images and its mean losses. Pure."""
    images = sum(count for count, _ in batches)
    sums: dict[str, float] = {}
    for count, losses in batches:
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value * count
    return {name: value / images for name, value in sums.items()}
