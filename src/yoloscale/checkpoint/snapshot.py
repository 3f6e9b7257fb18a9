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
        sources: list[torch.Tensor] = []
        _collect(state, sources)
        self._copies = [
            copy if copy.shape == source.shape and copy.dtype == source.dtype else _host_memory(source)
            for copy, source in zip(self._copies, sources, strict=False)
        ] + [_host_memory(source) for source in sources[len(self._copies) :]]
        if sources:
            torch._foreach_copy_(self._copies, sources, non_blocking=True)
        for device in {source.device for source in sources if source.is_cuda}:
            torch.cuda.current_stream(device).synchronize()
        taken: dict[str, Any] = _replaced(state, iter(self._copies))
        return taken


def _host_memory(source: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(source, device="cpu", pin_memory=source.is_cuda)


def _collect(value: Any, found: list[torch.Tensor]) -> None:
    """Append the tensors of nested containers to `found`, always in the same order."""
    if isinstance(value, torch.Tensor):
        found.append(value)
    elif isinstance(value, dict):
        for item in value.values():
            _collect(item, found)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, found)


def _replaced(value: Any, tensors: Iterator[torch.Tensor]) -> Any:
    """The same containers with other tensors, in the order of `_collect`."""
    if isinstance(value, torch.Tensor):
        return next(tensors)
    if isinstance(value, dict):
        return {key: _replaced(item, tensors) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(item, tensors) for item in value)
    return value
