"""What a trained model costs where it is used: parameters, operations, time for one image."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import torch
from torch import nn
from ultralytics.nn.autobackend import AutoBackend
from ultralytics.utils.torch_utils import get_flops

from yoloscale.yolo.weights import published

WARM_UP = 5  # passes
MEASURED_S = 3.0
MEASURED = (10, 100)  # passes at least, and at most


def parameters(module: nn.Module) -> int:
    """How many numbers a model has learned."""
    return sum(parameter.numel() for parameter in module.parameters())


def gflops(weights: Path, image_size: int) -> float:
    """Billions of floating-point operations for one image, as Ultralytics counts them."""
    return float(get_flops(published(weights), image_size))


def latency_ms(weights: Path, image_size: int, channels: int, device: torch.device) -> float:
    """Median time of one pass with one image in fp32, layers fused; without reading the image and finding its boxes."""
    model = AutoBackend(model=published(weights), device=device, fp16=False, verbose=False).eval()
    image = torch.zeros(1, channels, image_size, image_size, device=device)
    with torch.inference_mode():
        for _ in range(WARM_UP):
            _pass_s(model, image)
        times, started = list[float](), time.monotonic()
        while len(times) < MEASURED[0] or (len(times) < MEASURED[1] and time.monotonic() - started < MEASURED_S):
            times.append(_pass_s(model, image))
    return statistics.median(times) * 1000


def _pass_s(model: nn.Module, image: torch.Tensor) -> float:
    started = time.perf_counter()
    model(image)
    if image.device.type == "cuda":
        torch.cuda.synchronize(image.device)
    return time.perf_counter() - started
