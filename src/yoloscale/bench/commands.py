"""What `yoloscale bench train` starts: the same training as our command and as `yolo`'s. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from yoloscale.config.kinds import KINDS
from yoloscale.config.quoting import quote
from yoloscale.config.schema import Config, Device
from yoloscale.config.schema.arguments import TrainArguments
from yoloscale.config.schema.bench import BenchConfig

_PLAIN = re.compile(r"[\w./-]+")  # needs no quotes in Hydra's grammar
ALWAYS_SAID = ("epochs", "imgsz", "batch", "seed")
OWN_OF_OURS = ("cache", "pretrained")  # cache: a setting of our dataset files; `yolo` keeps its default


def ours(tokens: Sequence[str], folder: Path, name: str) -> list[str]:
    """Our command: what was typed, over bench.yaml, into a run directory below `folder`."""
    typed = [token for token in tokens if not token.startswith(("name=", "paths.runs="))]
    path = str(folder) if _PLAIN.fullmatch(str(folder)) else quote(folder)
    here = [f"paths.runs={path}", f"name={name}"]
    return [sys.executable, "-m", "yoloscale", "train", *primary_config(typed), *typed, *here]


def primary_config(tokens: Sequence[str]) -> list[str]:
    """The flag for bench.yaml; nothing if another primary config was typed."""
    flag = f"--config-name={KINDS[BenchConfig.kind].primary}"
    return [] if any(token.startswith(("--config-name", "-cn")) for token in tokens) else [flag]


def yolo(arguments: Mapping[str, Any], folder: Path, name: str) -> list[str]:
    """Ultralytics' command with a clock in it; its run goes into `folder`."""
    words = [f"{key}={value}" for key, value in {**arguments, "project": folder, "name": name}.items()]
    return [sys.executable, "-m", "yoloscale.yolo.timed_cli", "train", *words]


def yolo_arguments(config: Config, source: Path, weights: Path | None, extra: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of `yolo train` for the same training: what differs from its defaults, and `extra` on top.

    `config.amp` is as it was typed: what this machine makes of `true` is each side's own business.
    """
    default = TrainArguments()
    names = [field.name for field in fields(TrainArguments) if field.name not in OWN_OF_OURS]
    values = {name: getattr(config, name) for name in names}
    words = {name: value for name, value in values.items() if name in ALWAYS_SAID or value != getattr(default, name)}
    return {**_model(config, weights), "data": str(source), **words, "device": yolo_device(config), **extra}


def yolo_device(config: Config) -> str:
    """Ultralytics' `device` for the same processors; the config's cluster must be resolved."""
    cluster = config.cluster
    if cluster.device is Device.cpu:
        return "cpu"
    return ",".join(str(index) for index in cluster.gpus or range(cluster.procs_per_node or 1))


def _model(config: Config, weights: Path | None) -> dict[str, Any]:
    if config.model.weights is not None:
        return {"model": str(weights)}
    return {"model": config.model.architecture, "pretrained": str(weights) if weights else False}
