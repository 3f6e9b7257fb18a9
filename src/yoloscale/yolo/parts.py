"""Ultralytics' task trainers as boxes of parts: they build model, data sets, optimiser; they never run.

A trainer's constructor makes folders, seeds, chooses devices and hooks up loggers. None of that is wanted here, so the
object is made without it and given the attributes that its building methods read.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import load_checkpoint, yaml_model_load
from ultralytics.utils import DEFAULT_CFG, DEFAULT_CFG_DICT

from yoloscale.config.schema import Config, Task
from yoloscale.yolo.tasks import ADAPTERS, adapter_of


def is_rtdetr(model: str) -> bool:
    """Whether weights or an architecture are RT-DETR's, which has a trainer of its own."""
    if model.endswith(".pt"):
        module, _ = load_checkpoint(model)
        return "RTDETR" in type(module.model[-1]).__name__
    layers = yaml_model_load(model)
    return "RTDETR" in str((layers.get("head") or [[""]])[-1])


def arguments(config: Config, task: Task, data: Path, model: str, batch: int) -> SimpleNamespace:
    """Ultralytics' argument namespace for a run: what the config says, and its defaults for the rest.

    Args:
        data: dataset YAML, or the class folder of a classification set.
        model: architecture YAML or weights.
        batch: images per forward pass of one rank.
    """
    own = {"data", "model"}
    values = {key: value for key, value in vars(config).items() if key in DEFAULT_CFG_DICT and key not in own}
    values |= {"task": task.value, "mode": "train", "data": str(data), "model": model, "batch": batch}
    if not ADAPTERS[task].rescales:
        values["multi_scale"] = 0.0  # as Ultralytics does
    namespace: SimpleNamespace = get_cfg(DEFAULT_CFG, values)
    return namespace


def make_trainer(
    args: SimpleNamespace, task: Task, rtdetr: bool, device: torch.device, folder: Path, extra: Mapping[str, Any]
) -> Any:
    """A trainer object with everything its building methods read; `extra` adds or replaces attributes."""
    adapter = adapter_of(task, rtdetr)
    cls = getattr(import_module(adapter.module), adapter.trainer)
    trainer = cls.__new__(cls)
    attributes = {
        "args": args,
        "device": device,
        "save_dir": folder,
        "wdir": folder / "weights",
        "csv": folder / "results.csv",
        "model": args.model,
        "resume": False,
        "world_size": 0,
        "batch_size": args.batch,
        "epochs": args.epochs,
        "callbacks": {},
        "plots": {},
        "loss_names": (),
        "metrics": None,
        "validator": None,
        **extra,
    }
    for name, value in attributes.items():
        setattr(trainer, name, value)
    return trainer
