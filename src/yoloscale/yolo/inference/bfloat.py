"""bfloat16 on a CPU: weights and layers in 8 bits of mantissa, what a head decodes in 24."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from yoloscale.errors import ConfigError, Problem


def has_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16, and oneDNN knows."""
    return bool(torch.backends.mkldnn.is_available()) and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def to_bfloat16(model: nn.Module, is_rtdetr: bool) -> None:
    """Convert a fused model in place; what its head decodes, boxes and scores, stays in 32 bits.

    Raises ConfigError on a CPU without it, and for RT-DETR, whose queries are chosen by scores that are too close.
    """
    if not has_bfloat16():
        raise ConfigError(Problem("quantize", "16, but this CPU does not multiply in bfloat16", "leave it out"))
    if is_rtdetr:
        raise ConfigError(Problem("quantize", "16 for RT-DETR on a CPU", "leave it out, or run it on a GPU"))
    head: Any = list(model.model)[-1]  # type: ignore[arg-type]
    strides = head.stride.clone() if hasattr(head, "stride") else None
    model.bfloat16()
    if strides is not None:
        head.stride = strides
    if hasattr(head, "_inference"):  # a detection head: what its convolutions say is decoded in 32 bits
        decode = head._inference
        head._inference = lambda outputs: decode(_widened(outputs))
    linear = getattr(head, "linear", None)
    if isinstance(linear, nn.Linear):  # a classifier: softmax in 32 bits
        linear.float()
        linear.register_forward_pre_hook(lambda module, inputs: tuple(value.float() for value in inputs))


def _widened(outputs: Any) -> Any:
    if isinstance(outputs, torch.Tensor):
        return outputs.float()
    if isinstance(outputs, dict):
        return {name: _widened(value) for name, value in outputs.items()}
    return [_widened(value) for value in outputs]
