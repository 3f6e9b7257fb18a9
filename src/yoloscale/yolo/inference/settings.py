"""What is asked of a model, all images alike."""

from __future__ import annotations

from dataclasses import dataclass

from yoloscale.config.schema import Task
from yoloscale.errors import ConfigError, Problem

SLICED = (Task.detect, Task.segment, Task.pose, Task.obb)


@dataclass(frozen=True)
class InferenceSettings:
    """Ultralytics' predict arguments that decide what is found, by its names and with its defaults.

    Args:
        task: what the model is for; None: as the weights say.
        imgsz: side of the square, or (height, width), in pixels; None: as the weights say.
        quantize: 16: bfloat16 on a CPU that has it, float16 on a GPU; None or 32: float32.
        nms: False: the head that needs no NMS, where the model has one.
        embed: layers whose outputs are the embedding; then nothing else is computed.
        batch: images of a forward pass on a GPU; on a CPU one is taken at a time, and an artefact has its own.
        channels_last: layout of the weights; None: channels last wherever that is supported.
        dnn: run ONNX by OpenCV.
        exact: on a CPU, with torch's own kernels, as `YOLO(weights).predict` computes on one thread, to the bit; False:
            with `kernels`, where a forward pass takes about a tenth less time and numbers are about 1e-6 off.
        slice: side of the slices in pixels of the source; None: the whole image only.
        slice_overlap: share of a slice that the next one covers again, 0 ≤ x < 1.
    """

    task: Task | None = None
    imgsz: int | tuple[int, int] | None = None
    conf: float = 0.25
    iou: float = 0.7
    max_det: int = 300
    agnostic_nms: bool = False
    classes: tuple[int, ...] | None = None
    quantize: int | None = None
    nms: bool | None = None
    rect: bool = True
    augment: bool = False
    retina_masks: bool = False
    embed: tuple[int, ...] | None = None
    batch: int = 16
    channels_last: bool | None = None
    dnn: bool = False
    exact: bool = True
    slice: int | None = None
    slice_overlap: float = 0.2


def check(settings: InferenceSettings, task: Task) -> list[Problem]:
    """What cannot be done for a model of this task."""
    problems = []
    if settings.slice is not None and task not in SLICED:
        names = ", ".join(name.value for name in SLICED)
        found = f"{settings.slice}, but the model's task is {task.value}"
        problems.append(Problem("predict.slice", found, f"leave it out: slices are merged for {names}"))
    if settings.slice is not None and settings.slice < 1:
        problems.append(Problem("predict.slice", str(settings.slice), "write a number of pixels, at least 1"))
    if settings.slice is not None and settings.embed:
        problems.append(Problem("embed", "together with predict.slice", "leave one of the two out"))
    if not 0 <= settings.slice_overlap < 1:
        found = str(settings.slice_overlap)
        problems.append(Problem("predict.slice_overlap", found, "write a share of a slice, 0 or more and below 1"))
    if settings.quantize not in (None, 16, 32):
        problems.append(Problem("quantize", str(settings.quantize), "write 16 or 32"))
    return problems


def require(settings: InferenceSettings, task: Task) -> None:
    """Raise ConfigError with all that `check` finds."""
    if problems := check(settings, task):
        raise ConfigError(problems)
