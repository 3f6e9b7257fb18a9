"""What a model has computed, or will have: read in another thread, while the next images go through the model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch

from yoloscale.yolo.inference.prediction import Prediction


class Pending:
    """What is found in the images of one batch, not read yet."""

    def __init__(self, read: Callable[[], list[Prediction]]) -> None:
        self._read: Callable[[], list[Prediction]] | None = read

    def results(self) -> list[Prediction]:
        """One answer for each image, in their order. Called once, in any thread.

        Waits for the model to be done with this batch, and not for later ones. Raises what reading raises; on a GPU,
        what computing came to after it was started, too.
        """
        assert self._read is not None, "the results of a batch are read once"
        read, self._read = self._read, None  # with the answers, the memory of the outputs goes
        return read()


class Outputs:
    """The raw outputs of a pass; a context, of any thread, within which they may be read.

    On CUDA the reader waits for this pass, and not for those that were started after it.

    Args:
        stream: that the outputs are read on; None on a CPU.
        is_reused: the next pass writes to the same memory, so they are copied.
    """

    def __init__(self, outputs: Any, stream: torch.cuda.Stream | None, *, is_reused: bool) -> None:
        self._outputs, self._stream = _copied(outputs) if is_reused else outputs, stream
        self._is_computed: torch.cuda.Event | None = None
        if stream is not None:
            self._is_computed = torch.cuda.current_stream(stream.device).record_event()

    def __enter__(self) -> Any:
        with ExitStack() as contexts:
            contexts.enter_context(torch.inference_mode())
            if self._stream is not None and self._is_computed is not None:
                self._stream.wait_event(self._is_computed)
                for tensor in _tensors(self._outputs):
                    tensor.record_stream(self._stream)  # nobody else gets its memory before it is read
                contexts.enter_context(torch.cuda.stream(self._stream))
            self._contexts = contexts.pop_all()
        return self._outputs

    def __exit__(self, *_: object) -> None:
        self._contexts.close()
        self._outputs = None


def reading_stream(device: torch.device) -> torch.cuda.Stream | None:
    """A stream for reading outputs on this device; None on a CPU."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None


def _copied(outputs: Any) -> Any:
    if isinstance(outputs, torch.Tensor):
        return outputs.clone()
    return [_copied(each) for each in outputs] if isinstance(outputs, (list, tuple)) else outputs


def _tensors(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if isinstance(outputs, (list, tuple)):
        return [tensor for each in outputs for tensor in _tensors(each)]
    return [outputs] if isinstance(outputs, torch.Tensor) and outputs.is_cuda else []
