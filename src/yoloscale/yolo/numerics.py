"""What decides the bits of a result beside the numbers that go in: kernels of a GPU, how it multiplies, the clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.backends import cudnn

from yoloscale.config.schema import Config, Task
from yoloscale.yolo.tasks import ADAPTERS

INTERPOLATION, SAMPLING = "upsample_bilinear2d_backward", "grid_sampler_2d_backward"  # torch's names


def be_deterministic(compiles: bool) -> None:
    """What Ultralytics' `deterministic=True` sets: deterministic kernels where there are any, a warning elsewhere.

    `torch.use_deterministic_algorithms` sets the same for eager mode, but imports the compiler to do it. What cuBLAS
    needs is in the environment, set by `runtime.prepare`.
    """
    if compiles:
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_deterministic_debug_mode("warn")
    cudnn.deterministic = True
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # set by a module hook


def not_deterministic(task: Task, rtdetr: bool, args: Any) -> str | None:
    """The operation of a training step whose sums a GPU orders anew each time, in torch's name; None: all bits repeat.

    Args:
        args: Ultralytics' arguments of the run.
    """
    if rtdetr:
        return SAMPLING
    return INTERPOLATION if ADAPTERS[task].interpolates(args) else None


def caveat(task: Task, rtdetr: bool, args: Any) -> str | None:
    """What a person is told whose run on a GPU does not repeat to the bit; None if it does, or need not."""
    operation = not_deterministic(task, rtdetr, args) if args.deterministic else None
    if operation is None:
        return None
    return (
        f"torch has no deterministic kernel on a GPU for {operation}, which this model trains through: a resumed run "
        "sees the same images in the same order, but is not equal to the last bit; see README, What is guaranteed"
    )


def allow_tf32(is_allowed: bool) -> None:
    """Whether a GPU may round what it convolves to 10 bits of mantissa; matrices that it multiplies it never does.

    Not on CPUs, which have no such format.
    """
    cudnn.allow_tf32 = is_allowed
    torch.backends.cuda.matmul.allow_tf32 = False


@contextmanager
def full_precision() -> Iterator[None]:
    """Within: fp32 is fp32."""
    before = cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    allow_tf32(False)
    try:
        yield
    finally:
        cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def is_tuned(config: Config, device: torch.device) -> bool:
    """Whether cuDNN measures its ways to convolve, and takes the fastest, for each shape that it meets. Pure.

    That pays on CUDA where images keep one size, and where sums may come out otherwise in each run.
    """
    return device.type == "cuda" and not (config.deterministic or config.multi_scale or config.rect)


@contextmanager
def untuned() -> Iterator[None]:
    """Measure nothing meanwhile: an evaluation meets a shape for each batch of rectangular images."""
    before, cudnn.benchmark = cudnn.benchmark, False
    try:
        yield
    finally:
        cudnn.benchmark = before


@contextmanager
def repeatable() -> Iterator[None]:
    """Within: on a GPU, the same image in a batch of the same shape gives the same bits, in each process.

    Convolutions are rounded to TF32 there, as `yolo predict` has it; what is not left to whatever was set before.
    """
    before = cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    cudnn.benchmark, cudnn.deterministic = False, True
    allow_tf32(True)
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def machine_of(device: torch.device, precision: str) -> dict[str, str | bool]:
    """What decides the last bits of an inference within `repeatable`, beside weights, settings and versions."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return {"device": name, "instructions": "cuda", "tf32": precision == "fp32", "precision": precision}
    instructions = torch.backends.cpu.get_cpu_capability()
    return {"device": device.type, "instructions": instructions, "tf32": False, "precision": precision}


@contextmanager
def unhurried() -> Iterator[None]:
    """Within: Ultralytics' validators look through all boxes of a batch, however long that takes.

    They leave out the images for which there was no time in 2 s and 0.05 s an image, and what is found must not depend
    on how fast a machine is.
    """
    from ultralytics.utils import nms

    before = nms.non_max_suppression
    nms.non_max_suppression = partial(before, max_time_img=math.inf)
    try:
        yield
    finally:
        nms.non_max_suppression = before
