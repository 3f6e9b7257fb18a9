"""Copies of a state in host memory: taken between two steps, written while the next ones run."""

from __future__ import annotations

from typing import Any

import torch


class HostCopies:
    """Host memory that every copy of a state uses again; page-locked where the state lies on a GPU.

    A state is dicts, lists and tuples of tensors and plain values. What `take` returns is valid until the next `take`.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[object, ...], torch.Tensor] = {}

    @torch.no_grad()
    def take(self, state: dict[str, Any]) -> dict[str, Any]:
        """The same state with all tensors on the host, in memory of ours. Blocks for as long as copying takes."""
        sources: list[torch.Tensor] = []
        copies: list[torch.Tensor] = []
        used: set[tuple[object, ...]] = set()

        def copied(value: Any, path: tuple[object, ...]) -> Any:
            if isinstance(value, torch.Tensor):
                sources.append(value.detach())
                copies.append(self._buffer(value, path))
                used.add(path)
                return copies[-1]
            if isinstance(value, dict):
                return {key: copied(item, (*path, key)) for key, item in value.items()}
            if isinstance(value, (list, tuple)):
                return type(value)(copied(item, (*path, index)) for index, item in enumerate(value))
            return value

        taken: dict[str, Any] = copied(state, ())
        self._copy(sources, copies)
        for path in self._buffers.keys() - used:
            del self._buffers[path]
        return taken

    @staticmethod
    def _copy(sources: list[torch.Tensor], copies: list[torch.Tensor]) -> None:
        if not sources:
            return
        torch._foreach_copy_(copies, sources, non_blocking=True)
        for device in {source.device for source in sources if source.is_cuda}:
            torch.cuda.current_stream(device).synchronize()

    def _buffer(self, source: torch.Tensor, path: tuple[object, ...]) -> torch.Tensor:
        """Memory for a tensor of this shape, type and layout; new only if there is none yet."""
        found = self._buffers.get(path)
        like = (source.shape, source.dtype, source.stride())
        if found is None or (found.shape, found.dtype, found.stride()) != like:
            found = torch.empty_like(source, device="cpu", pin_memory=source.is_cuda)
            self._buffers[path] = found
        return found
