"""Convolutions on a CPU by oneDNN, with their weights laid out once and their activation computed on the way.

A small model on one thread spends a third of its time in reading and writing what a convolution has just written, for
the activation, and in laying out the same weights again. Results differ from torch's own kernels by rounding, about
1e-6 of themselves, and do not depend on anything but input and weights: the layout is made for one size, at the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from ultralytics.nn.modules.conv import Conv

Convolve = Callable[[torch.Tensor], torch.Tensor]


def are_available() -> bool:
    """Whether this build of torch has them; they are what its compiler calls on a CPU."""
    names = ("_convolution_pointwise", "_reorder_convolution_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)


@torch.inference_mode()
def install(model: nn.Module, blank: torch.Tensor) -> None:
    """Let the convolutions of a fused model in evaluation be computed so; `blank` is an image of the usual size."""
    modules: list[Any] = list(model.modules())
    for module in modules:
        if _is_plain(module):
            module.forward = _Convolution(module, "none")
    for module in modules:
        if _is_fused_block(module):
            module.forward = _Convolution(module.conv, "swish")
    model(blank)  # lays out the weights


def _is_plain(module: Any) -> bool:
    return type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _is_fused_block(module: Any) -> bool:
    """Whether this is Ultralytics' convolution, its normalisation fused into the weights, then SiLU."""
    if not isinstance(module, Conv) or hasattr(module, "bn") or not _is_plain(module.conv):
        return False
    return type(module).forward_fuse is Conv.forward_fuse and type(module.act) is nn.SiLU


class _Convolution:
    """One convolution and what comes behind it."""

    def __init__(self, module: nn.Conv2d, activation: str) -> None:
        self._module, self._activation = module, activation
        self._weight: torch.Tensor | None = None

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        module, operations = self._module, torch.ops.mkldnn
        geometry: Any = (module.padding, module.stride, module.dilation, module.groups)
        if self._weight is None:
            weight = module.weight.detach()
            self._weight = operations._reorder_convolution_weight(weight, *geometry, list(images.shape))
        result: torch.Tensor = operations._convolution_pointwise(
            images, self._weight, module.bias, *geometry, self._activation, [], ""
        )
        return result
