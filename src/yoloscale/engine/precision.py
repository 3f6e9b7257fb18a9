"""Mixed precision: what `amp` means on the device at hand."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from yoloscale.system.machine import cpu_has_bf16


@dataclass(frozen=True)
class Precision:
    """The data type of the forward pass; None is fp32. `scaled` says that the loss needs a gradient scaler.

    `tf32`: convolutions in fp32 may be done in TF32, which has fp32's range and the mantissa of fp16.
    """

    dtype: torch.dtype | None
    device_type: str
    tf32: bool = False

    @property
    def scaled(self) -> bool:
        return self.dtype is torch.float16

    @property
    def name(self) -> str:
        return {None: "tf32" if self.tf32 else "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}[self.dtype]

    def autocast(self) -> AbstractContextManager[object]:
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype)


def gpu_has_tf32(device: torch.device) -> bool:
    """True from Ampere on."""
    return torch.cuda.get_device_capability(device) >= (8, 0)


def choose(amp: bool | str, device: torch.device) -> Precision:
    """Precision for Ultralytics' `amp`: true/fp16, bf16, false, and fp32. On a CPU, true means bf16 where it is native.

    False on a GPU is what it is in Ultralytics, TF32; fp32 is slower and rounds nothing.
    """
    name = str(amp).lower()
    if device.type == "cpu":
        is_bf16 = name == "bf16" or (name == "true" and cpu_has_bf16())
        return Precision(torch.bfloat16 if is_bf16 else None, "cpu")
    dtype = {"true": torch.float16, "fp16": torch.float16, "bf16": torch.bfloat16}.get(name)
    return Precision(dtype, device.type, tf32=name == "false" and gpu_has_tf32(device))
