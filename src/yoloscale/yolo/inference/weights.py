"""The model behind a `.pt` or an exported artefact, ready to infer, and what must be known of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torchvision  # noqa: F401  # imported, it is what Ultralytics' NMS runs on
from ultralytics.nn.autobackend import AutoBackend
from ultralytics.nn.backends.base import BaseBackend
from ultralytics.nn.tasks import guess_model_task
from ultralytics.utils.checks import check_imgsz

from yoloscale.config.schema import Task
from yoloscale.errors import ConfigError, Problem
from yoloscale.yolo.inference import artefacts, kernels
from yoloscale.yolo.inference.bfloat import to_bfloat16
from yoloscale.yolo.inference.settings import InferenceSettings, require
from yoloscale.yolo.weights import checkpoint


class Weights:
    """A model on its device, fused; `__call__` is its forward pass.

    Raises ConfigError for weights of another task, an artefact of another size, or what its format cannot do.
    """

    def __init__(self, path: str | Path, settings: InferenceSettings, device: torch.device) -> None:
        path = Path(path)
        is_native = path.suffix.lower() == ".pt"
        metadata = {} if is_native else BaseBackend.read_metadata(path)
        halves_on_cpu = settings.quantize == 16 and device.type == "cpu" and is_native
        model: Any = checkpoint(path, device) if is_native else str(path)
        self.backend = AutoBackend(
            model=model,
            device=device,
            dnn=settings.dnn,
            fp16=settings.quantize == 16 if is_native else artefacts.takes_half(path, metadata),
            fuse=True,
            verbose=False,
            channels_last=_channels_last(settings, device) if is_native else None,
            end2end=settings.nms is False,
        ).eval()
        self.format: str = self.backend.format
        self.device = torch.device(self.backend.device)
        head = type(model.model[-1]).__name__ if is_native else str(metadata.get("head", ""))
        self.is_rtdetr = "RTDETR" in head
        self.task = _task(settings, model.task if is_native else metadata.get("task"), path)
        require(settings, self.task)
        self.names: dict[int, str] = self.backend.names
        self.channels: int = self.backend.channels
        self.stride = int(self.backend.stride)
        self.end2end = bool(self.backend.end2end)
        shape = getattr(self.backend, "kpt_shape", None)
        self.kpt_shape: tuple[int, int] | None = (int(shape[0]), int(shape[1])) if shape is not None else None
        self.transforms: Any = getattr(self.backend.model, "transforms", None) if is_native else None
        self.takes_any_size = is_native or (bool(self.backend.dynamic) and self.format != "imx")
        self.batch = self._batch(settings)
        self.imgsz = self._imgsz(settings, model.args.get("imgsz") if is_native else self.backend.metadata.get("imgsz"))
        if is_native and self.end2end:
            # classes are chosen among the candidates, so there must be more of those than may be kept
            self.backend.model.set_head_attr(max_det=max(settings.max_det, 300), agnostic_nms=settings.agnostic_nms)
        if halves_on_cpu:
            to_bfloat16(self.backend.model, self.is_rtdetr)
        if not is_native:
            artefacts.refuse(settings, path, self)
        self.dtype = torch.bfloat16 if halves_on_cpu else torch.float16 if self.backend.fp16 else torch.float32
        numbers = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
        self.precision: str = numbers[self.dtype] if is_native else artefacts.precision(self.backend)
        self.is_channels_last = is_native and _is_channels_last(self.backend.model)
        on_cpu = is_native and self.device.type == "cpu"
        if on_cpu and (halves_on_cpu or not settings.exact) and kernels.are_available():
            kernels.install(self.backend.model, torch.zeros(1, self.channels, *self.imgsz, dtype=self.dtype))

    def __call__(self, images: torch.Tensor, settings: InferenceSettings) -> Any:
        """The raw outputs for a batch, N × C × H × W in 0…1."""
        if self.format != "pt":
            return self.backend(images)
        if not settings.embed:
            return self.backend(images, augment=settings.augment)
        vectors = self.backend(images, augment=settings.augment, embed=list(settings.embed))
        return [vectors] if isinstance(vectors, torch.Tensor) else vectors  # of one image, it is taken out of its list

    def _batch(self, settings: InferenceSettings) -> int:
        if self.format != "pt" and not self.backend.dynamic:
            return int(self.backend.batch)
        batch = 1 if self.device.type == "cpu" else settings.batch
        return min(batch, int(self.backend.batch)) if self.format == "engine" else batch  # the most it was built for

    def _imgsz(self, settings: InferenceSettings, own: Any) -> tuple[int, int]:
        typed = settings.imgsz
        wanted = check_imgsz(_listed(typed if typed is not None else own or 640), stride=self.stride, min_dim=2)
        if self.takes_any_size or own is None:
            return int(wanted[0]), int(wanted[1])
        fixed = check_imgsz(_listed(own), stride=self.stride, min_dim=2)
        if list(wanted) != list(fixed):
            found = f"{_size(wanted)}, but the artefact was exported for {_size(fixed)} only"
            raise ConfigError(Problem("imgsz", found, "leave it out; or export again with dynamic=True or this size"))
        return int(fixed[0]), int(fixed[1])


def _listed(size: Any) -> Any:
    return list(size) if isinstance(size, (list, tuple)) else int(size)


def _size(size: Any) -> str:
    return f"{size[0]}×{size[1]}"


def _channels_last(settings: InferenceSettings, device: torch.device) -> bool | None:
    if settings.channels_last is None and device.type == "cuda":
        return True
    return settings.channels_last


def _is_channels_last(model: Any) -> bool:
    layouts = (value for value in model.parameters() if value.ndim == 4 and not value.is_contiguous())
    return any(value.is_contiguous(memory_format=torch.channels_last) for value in layouts)


def _task(settings: InferenceSettings, own: Any, path: Path) -> Task:
    if own is None and settings.task is None:
        try:
            own = guess_model_task(path)
        except Exception as error:
            raise ConfigError(Problem("task", f"{path.name} does not say it", "write task=NAME")) from error
    task = Task(own) if own is not None else settings.task
    assert task is not None
    if settings.task is not None and task is not settings.task:
        found = f"{settings.task.value}, but {path.name} is a model for {task.value}"
        raise ConfigError(Problem("task", found, f"leave it out, write task={task.value}, or choose another model"))
    return task
