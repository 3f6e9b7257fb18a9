"""What is fixed in an exported file, and refused where something else is asked for: Ultralytics takes no notice."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from yoloscale.errors import ConfigError, Problem
from yoloscale.yolo.inference.settings import InferenceSettings

if TYPE_CHECKING:
    from yoloscale.yolo.inference.weights import Weights

BY_ITSELF = "leave it out, or use a .pt"


def takes_half(path: Path, metadata: Mapping[str, Any] | None) -> bool:
    """Whether the file's inputs are in 16 bits, where its back end does not find that out by itself."""
    return path.suffix == ".torchscript" and _quantized(metadata) == "16"


def precision(backend: Any) -> str:
    """What an opened file computes with: fp32, fp16, int8 or what else it was exported for."""
    quantized = _quantized(backend.metadata)
    if quantized in ("", "32"):
        return "fp16" if backend.fp16 else "fp32"
    return {"16": "fp16", "8": "int8"}.get(quantized, quantized)


def _quantized(metadata: Mapping[str, Any] | None) -> str:
    value = _arguments(metadata or {}).get("quantize")
    return "" if value is None else str(value)


def _arguments(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the export; of some formats it is text until the file is opened."""
    arguments = metadata.get("args") or {}
    return literal_eval(arguments) if isinstance(arguments, str) else arguments


def refuse(settings: InferenceSettings, path: Path, weights: Weights) -> None:
    """Raise ConfigError for what this file cannot do, or does in one way only."""
    problems = [
        *_of_the_model(settings, path, weights),
        *_of_its_numbers(settings, path, weights),
        *_of_its_nms(settings, path, weights.backend.metadata),
        *_of_its_head(settings, path, weights),
        *_of_its_sizes(settings, path, weights),
    ]
    if problems:
        raise ConfigError(problems)


def _of_the_model(settings: InferenceSettings, path: Path, weights: Weights) -> list[Problem]:
    artefact = f"{path.name} is an exported artefact"
    problems = []
    if settings.augment:
        problems.append(Problem("augment", f"true, but {artefact}", BY_ITSELF))
    if settings.embed:
        problems.append(Problem("embed", f"given, but {artefact}", BY_ITSELF))
    if settings.nms is False and not weights.end2end:
        problems.append(Problem("nms", f"false, but {artefact} with the other head", "export it with nms=False"))
    if settings.channels_last is not None:
        value = str(settings.channels_last).lower()
        problems.append(Problem("channels_last", f"{value}, but {artefact}", BY_ITSELF))
    return problems


def _of_its_numbers(settings: InferenceSettings, path: Path, weights: Weights) -> list[Problem]:
    numbers = precision(weights.backend)
    if settings.quantize is None or numbers == f"fp{settings.quantize}":
        return []
    found = f"{settings.quantize}, but {path.name} was exported for {numbers}"
    return [Problem("quantize", found, f"leave it out, or export again with quantize={settings.quantize}")]


def _of_its_nms(settings: InferenceSettings, path: Path, metadata: Mapping[str, Any]) -> list[Problem]:
    if not _arguments(metadata).get("nms"):
        return []
    within = f"but {path.name} is an exported artefact with NMS in its graph"
    again = "leave it out, or export again without nms=True"
    problems = []
    if settings.iou != InferenceSettings.iou:
        problems.append(Problem("iou", f"{settings.iou}, {within}", again))
    if settings.agnostic_nms:
        problems.append(Problem("agnostic_nms", f"true, {within}", again))
    if settings.conf < InferenceSettings.conf:
        problems.append(Problem("conf", f"{settings.conf}, {within}, which keeps nothing below its own", again))
    return problems


def _of_its_head(settings: InferenceSettings, path: Path, weights: Weights) -> list[Problem]:
    """A graph without NMS after it gives a fixed number of candidates: no more than those can be kept."""
    if not weights.end2end or settings.max_det <= InferenceSettings.max_det:
        return []
    shape = (weights.batch, weights.channels, *weights.imgsz)
    with torch.inference_mode():
        outputs = weights(torch.zeros(shape, device=weights.device), settings)
    count = int((outputs[0] if isinstance(outputs, (list, tuple)) else outputs).shape[1])
    if settings.max_det <= count:
        return []
    found = f"{settings.max_det}, but {path.name} gives the {count} best of an image"
    return [Problem("max_det", found, f"write {count} or less, or export again with max_det={settings.max_det}")]


def _of_its_sizes(settings: InferenceSettings, path: Path, weights: Weights) -> list[Problem]:
    """A TensorRT engine of any size is one of up to twice the size of its export."""
    own = weights.backend.metadata.get("imgsz")
    if weights.format != "engine" or not weights.takes_any_size or own is None or settings.imgsz is None:
        return []
    most = [2 * side for side in (own if isinstance(own, (list, tuple)) else (own, own))]
    if all(side <= limit for side, limit in zip(weights.imgsz, most, strict=True)):
        return []
    found = f"{weights.imgsz[0]}×{weights.imgsz[1]}, but {path.name} takes {most[0]}×{most[1]} at most"
    return [Problem("imgsz", found, "write less, or export again with this imgsz")]
