"""weights/*.pt: plain Ultralytics checkpoints of the averaged model, whole or not there."""

from __future__ import annotations

import os
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics import __version__
from ultralytics.utils import DEFAULT_CFG_DICT


def published(path: Path) -> nn.Module:
    """The model of a `.pt` that `write` wrote, in fp32.

    Not by Ultralytics' loader: it takes quotes out of file names, and the name of a run may have some.
    """
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)  # written by this run
    model: nn.Module = content["model"]
    return model.float()


def copy(module: nn.Module, arguments: dict[str, Any], metrics: dict[str, float], epoch: int) -> dict[str, Any]:
    """The content of a checkpoint as `strip_optimizer` leaves it: half precision, on the host, no training state.

    Args:
        module: the averaged model; it is not changed, and may change afterwards.
        arguments: Ultralytics' arguments of the run; a path of the run itself must not be among them.
        epoch: the epoch (from 1) the weights are from.
    """
    model: Any = deepcopy(module).half().cpu().to(memory_format=torch.contiguous_format)
    known = {key: value for key, value in arguments.items() if key in DEFAULT_CFG_DICT}
    model.args = {**DEFAULT_CFG_DICT, **known}
    model.criterion = None
    for value in model.state_dict().values():
        if value.is_floating_point():
            torch.nan_to_num_(value)  # what overflows in half precision
    return {
        "epoch": -1,
        "best_fitness": None,
        "stopper": None,
        "model": model,
        "ema": None,
        "updates": None,
        "optimizer": None,
        "scaler": None,
        "train_args": model.args,
        "train_metrics": {**metrics, "epoch": epoch},
        "train_results": {},
        "date": datetime.now().astimezone().isoformat(),
        "version": __version__,
        "license": "AGPL-3.0 License (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write what `copy` returned. Raises OSError if the disk does not take it; the file that was there stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.writing")
    try:
        torch.save(content, beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except RuntimeError as error:  # torch's writer hides what the disk said
        raise OSError(f"{path.name} could not be written, the disk may be full: {error}") from error
    finally:
        beside.unlink(missing_ok=True)
