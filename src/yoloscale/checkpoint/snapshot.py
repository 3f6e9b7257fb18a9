"""Copies of a state in host memory: taken between two steps, written while the next ones run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


class HostCopies:
    """Host memory that every copy of a state uses again; page-locked where the state lies on a GPU.

    A state is dicts, lists and tuples of tensors and plain values. What `take` returns is valid until the next `take`.
    """

    def __init__(self) -> None:
        self._copies: list[torch.Tensor] = []

    @torch.no_grad()
    def take(self, state: dict[str, Any]) -> dict[str, Any]:
        """The same state with all tensors on the host, in memory of ours. Blocks for as long as copying takes."""
        sources: list[torch.Tensor] = list(collect(state))
        self._copies = [
            copy if copy.shape == source.shape and copy.dtype == source.dtype else _host_memory(source)
            for copy, source in zip(self._copies, sources, strict=False)
        ] + [_host_memory(source) for source in sources[len(self._copies) :]]
        if sources:
            torch._foreach_copy_(self._copies, sources, non_blocking=True)
        for device in {source.device for source in sources if source.is_cuda}:
            torch.cuda.current_stream(device).synchronize()
        copy: dict[str, Any] = replaced(state, iter(self._copies))
        return copy


def _host_memory(source: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(source, device="cpu", pin_memory=source.is_cuda)


def collect(value: Any, kind: type = torch.Tensor) -> Iterator[Any]:
    """What is of that kind in nested containers, always in the same order."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from collect(item, kind)


def replaced(value: Any, others: Iterator[Any], kind: type = torch.Tensor) -> Any:
    """The same containers with others in the place of what is of that kind, in the order of `collect`."""
    if isinstance(value, kind):
        return next(others)
    if isinstance(value, dict):
        return {key: replaced(item, others, kind) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(replaced(item, others, kind) for item in value)
    return value
