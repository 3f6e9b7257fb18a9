"""Whether cuDNN measures its ways to convolve, and takes the fastest, for each shape that it meets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.backends import cudnn

from yoloscale.config.schema import Config


def is_tuned(config: Config, device: torch.device) -> bool:
    """Measuring pays on CUDA where images keep one size, and where sums may come out otherwise in each run. Pure."""
    return device.type == "cuda" and not (config.deterministic or config.multi_scale or config.rect)


@contextmanager
def untuned() -> Iterator[None]:
    """Measure nothing meanwhile: an evaluation meets a shape for each batch of rectangular images."""
    kept, cudnn.benchmark = cudnn.benchmark, False
    try:
        yield
    finally:
        cudnn.benchmark = kept
