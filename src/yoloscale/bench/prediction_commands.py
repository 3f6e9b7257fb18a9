"""What `yoloscale bench predict` starts: the same images through the same weights by us and by `yolo`. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from yoloscale.config.quoting import quote_odd
from yoloscale.config.schema import Device, PredictConfig
from yoloscale.config.schema.inference_arguments import PredictArguments

ALWAYS_SAID = ("imgsz",)
OURS_ALONE = ("quantize",)  # on a CPU: Ultralytics has no half precision there


def ours(tokens: Sequence[str], folder: Path, name: str, source: Path) -> list[str]:
    """Our command: what was typed, for a list of images, into a run directory below `folder`."""
    here = [f"paths.runs={quote_odd(str(folder))}", f"name={name}", f"source={quote_odd(str(source))}"]
    return [sys.executable, "-m", "yoloscale", "predict", *tokens, *here]


def alone(config: PredictConfig, place: int, loaders: int) -> list[str]:
    """What makes our command one of one rank on the processor number `place` of those that the config has.

    It gets no more of the machine than one of several ranks has.
    """
    cluster = config.cluster
    words = ["cluster.procs_per_node=1", f"cluster.threads={cluster.threads}", f"predict.loaders={loaders}"]
    return words if cluster.device is Device.cpu else [*words, f"device={_gpus(config)[place]}"]


def yolo(arguments: Mapping[str, Any]) -> list[str]:
    """Ultralytics' command with a clock in it."""
    words = [f"{key}={_word(value)}" for key, value in arguments.items()]
    return [sys.executable, "-m", "yoloscale.yolo.timed_cli", "predict", *words]


def yolo_arguments(config: PredictConfig, weights: Path, source: Path, extra: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of `yolo predict` for the same images: what differs from its defaults, and `extra` on top.

    It draws no pictures, as we draw none, and it uses the first processor: more it does not know.
    """
    is_cpu = config.cluster.device is Device.cpu
    default = PredictArguments()
    left_out = ("batch", *_made_of_rows(), *(OURS_ALONE if is_cpu else ()))
    names = [field.name for field in fields(PredictArguments) if field.name not in left_out]
    values = {name: getattr(config, name) for name in names}
    words = {name: value for name, value in values.items() if name in ALWAYS_SAID or value != getattr(default, name)}
    device = "cpu" if is_cpu else _gpus(config)[0]
    return {"model": weights, "source": source, **words, "device": device, "save": False, **extra}


def _made_of_rows() -> tuple[str, ...]:
    """Ultralytics' arguments of what is made of its results: nothing is, on either side."""
    return tuple(field.name for field in fields(PredictArguments) if field.name.startswith(("save", "show")))


def _gpus(config: PredictConfig) -> list[int]:
    return list(config.cluster.gpus or range(config.cluster.procs_per_node or 1))


def _word(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{','.join(str(part) for part in value)}]"
    return str(value)
