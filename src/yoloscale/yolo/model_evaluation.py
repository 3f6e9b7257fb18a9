"""`yolo val` on any number of ranks: a `.pt` or an exported artefact, on a split of a dataset, to the last bit alike.

Model, arguments and data set are prepared as Ultralytics' `YOLO(weights).val()` does; the images are dealt out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ultralytics.data.utils import check_cls_dataset, check_det_dataset
from ultralytics.nn.autobackend import AutoBackend
from ultralytics.utils import LOGGER
from ultralytics.utils.checks import check_imgsz
from ultralytics.utils.ops import Profile
from ultralytics.utils.torch_utils import attempt_compile

from yoloscale.config.schema import LabelKind, Task
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT, PREPARING
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.files import write_whole
from yoloscale.yolo import datasets
from yoloscale.yolo.evaluation_pass import (
    STAGES,
    Share,
    loader_of,
    loaders_of,
    nothing_between,
    put_together,
    run_batches,
    share,
)
from yoloscale.yolo.samples import files
from yoloscale.yolo.tasks import validator_of
from yoloscale.yolo.weights import checkpoint

_REMEMBERED = ("imgsz", "single_cls")  # arguments of the training that `yolo val` takes where nothing else is said


@dataclass(frozen=True)
class ModelMetrics:
    """What an evaluation came to.

    Args:
        metrics: by Ultralytics' own names, with `fitness`.
        classes: Ultralytics' table, a row for each class with images (one row for tasks without such a table).
        speed_ms: of an image in each of Ultralytics' stages, by this run's clocks.
    """

    metrics: dict[str, float]
    classes: list[dict[str, Any]]
    images: int
    speed_ms: dict[str, float]


class ModelEvaluation:
    """One evaluation of one model on one split. Every rank has one and calls it alike.

    Args:
        weights: a `.pt`, or what Ultralytics has exported one to.
        task: what the model is to be for; None: whatever it is. Raises ConfigError if it is for something else.
        data: the dataset's YAML, or the folder of classes.
        arguments: of `yolo val`, by its names; None: the checkpoint's own, or Ultralytics' default.
        folder: where plots, predictions.json and labels go, on all ranks the same one.
    """

    def __init__(
        self,
        weights: Path,
        task: Task | None,
        data: Path,
        arguments: Mapping[str, Any],
        *,
        folder: Path,
        ranks: Ranks,
        device: torch.device,
    ) -> None:
        HEARTBEAT.at(PREPARING)
        self._ranks = ranks
        source: Any = checkpoint(weights) if weights.suffix == ".pt" else str(weights)
        remembered = getattr(source, "args", {})
        values: dict[str, Any] = {"rect": True}  # as `YOLO.val` has it, whatever the default of the argument
        values |= {key: remembered[key] for key in _REMEMBERED if key in remembered}
        values |= {key: value for key, value in arguments.items() if value is not None}
        values |= {"mode": "val", "model": str(weights), "data": str(data), "device": str(device)}
        values["cache"] = False  # each image is read once
        self._model = _backend(source, device, values)
        self.task = _task_of(source, self._model, task)
        values["task"] = self.task.value
        validator = validator_of(self.task, _is_rtdetr(source, self._model))(save_dir=folder, args=values)
        validator.training, validator.device = False, self._model.device
        validator.callbacks = {}  # of Ultralytics' own loggers
        validator.stride, validator.names = self._model.stride, self._model.names
        _fit(validator.args, self._model)
        self._validator = validator
        self._share: Share | None = None

    def open_data(self) -> list[str]:
        """Collective. Build the data set; writes label caches, so ranks take turns. Returns its files, in order."""
        validator = self._validator
        with group.first_of_run_then_of_nodes(self._ranks), datasets.signs_of_life():
            check = check_cls_dataset if self.task.label_kind is LabelKind.folders else check_det_dataset
            validator.data = check(str(validator.args.data), split=validator.args.split)
            dataset = validator.get_dataloader(validator.data.get(validator.args.split), validator.args.batch).dataset
        datasets.follow_first_rank(dataset)
        on_cpu = validator.device.type == "cpu"
        workers, sentence = (
            (0, None) if on_cpu else loaders_of(dataset, validator.args.batch, validator.args.workers, self._ranks)
        )
        if sentence is not None:
            LOGGER.warning(f"{self._ranks.host}: {sentence}")
        self._share = share(len(dataset), validator.args.batch, self._ranks)
        validator.dataloader = loader_of(
            dataset,
            validator.args.batch,
            self._share,
            workers=workers,
            pin_memory=not on_cpu,
        )
        return files(dataset)

    @property
    def batch(self) -> int:
        """Images of a batch, but for the last one of the set."""
        return int(self._validator.args.batch)

    @property
    def rounds(self) -> int:
        """Batches of the rank that has most of them."""
        assert self._share is not None, "open_data comes first"
        return self._share.rounds

    @property
    def batches(self) -> int:
        """Batches of the whole set."""
        return -(-len(self._validator.dataloader.dataset) // self.batch)

    @property
    def precision(self) -> str:
        """What the model computes with."""
        return "fp16" if self._validator.args.quantize == 16 else "fp32"

    def __call__(self, between: Callable[[int], None] = nothing_between) -> ModelMetrics | None:
        """Collective. What the model comes to, on rank 0; None elsewhere. `between`: see `run_batches`."""
        assert self._share is not None, "open_data comes first"
        validator, model = self._validator, self._model.eval()
        if validator.args.compile:
            model = attempt_compile(model, device=validator.device, mode=validator.args.compile)
        with torch.inference_mode():
            channels = validator.data["channels"]
            shape = check_imgsz(validator.args.imgsz, stride=self._model.stride, min_dim=2)
            model.warmup(imgsz=(1 if self._model.format == "pt" else validator.args.batch, channels, *shape))
        clocks = [Profile(device=validator.device) for _ in STAGES]
        batches = run_batches(validator, model, self._share, with_loss=False, clocks=clocks, between=between)
        seconds = group.gather_objects([clock.t for clock in clocks])
        if put_together(validator, self._share, batches) is None:
            return None
        images = len(validator.dataloader.dataset)
        speed = {
            stage: sum(times) / images * 1e3 for stage, times in zip(STAGES, zip(*seconds, strict=True), strict=True)
        }
        return self._measure(images, speed)

    def _measure(self, images: int, speed_ms: dict[str, float]) -> ModelMetrics:
        """On rank 0: metrics, pictures and files, in the order in which Ultralytics makes them."""
        validator = self._validator
        stats = validator.get_stats()
        classes = validator.metrics.summary()
        validator.speed |= speed_ms
        validator.finalize_metrics()
        validator.print_results()
        if validator.args.save_json and validator.jdict:
            write_whole(validator.save_dir / "predictions.json", json.dumps(validator.jdict))
            stats = validator.eval_json(stats)  # COCO and LVIS: the numbers of their own tools
        metrics = {name: float(value) for name, value in stats.items()}
        return ModelMetrics(metrics, [_plain(row) for row in classes], images, speed_ms)


def _backend(source: Any, device: torch.device, values: Mapping[str, Any]) -> Any:
    """The model as `yolo val` has it. It counts operations for its log by a pass of another size (`verbose`).

    RT-DETR then makes its anchors anew, where those that came with the weights are rounded to half precision.
    """
    with torch.inference_mode():
        return AutoBackend(
            model=source,
            device=device,
            dnn=bool(values.get("dnn")),
            data=values["data"],
            fp16=values.get("quantize") in (16, "16"),
            channels_last=values.get("channels_last"),
            end2end=values.get("nms") is False,
            verbose=True,
        )


def _task_of(source: Any, model: Any, asked: Task | None) -> Task:
    """The model's own task. Raises ConfigError if another one was asked for, or none is known."""
    own = getattr(source, "task", None) or getattr(model, "task", None) or (asked.value if asked else None)
    if own is None:
        raise ConfigError(Problem("model.task", "nothing, and the exported file does not tell its task", "write task="))
    if asked is not None and asked.value != own:
        raise ConfigError(Problem("model.task", f"{asked.value}, but the model is one for {own}", f"write task={own}"))
    return Task(own)


def _is_rtdetr(source: Any, model: Any) -> bool:
    """Whether it is a model of RT-DETR's, whose output is read otherwise; a file that was exported says its head."""
    if isinstance(source, torch.nn.Module):
        return "RTDETR" in type(source.model[-1]).__name__  # type: ignore[index]
    return "RTDETR" in str(getattr(model, "metadata", {}).get("head", ""))


def _fit(args: Any, model: Any) -> None:
    """Set what follows from the model, as Ultralytics does: an exported one may have one size and one batch only.

    Raises ConfigError where an exported one is to see augmented images, which Ultralytics takes no notice of.
    """
    if args.augment and model.format != "pt":
        raise ConfigError(
            Problem("augment", "true, but the model is an exported artefact", "leave it out, or use a .pt")
        )
    is_dynamic = bool(getattr(model, "dynamic", False))
    args.quantize = 16 if model.fp16 else None
    if args.augment and not getattr(model, "base_model", False):
        LOGGER.warning(f"augment=true is nothing that a model of the format {model.format} can do: without it")
        args.augment = False
    if model.format != "pt" and hasattr(model, "imgsz") and not is_dynamic:
        args.imgsz = model.imgsz
    if model.format not in ("pt", "torchscript") and not is_dynamic:
        args.batch = model.metadata.get("batch", 1)
    if model.format != "pt" and not (is_dynamic and model.format != "imx"):
        args.rect = False


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of numbers that JSON knows."""
    return {key: value.item() if hasattr(value, "item") else value for key, value in row.items()}
