"""Which values each argument takes by itself: ranges, choices and shapes. Figures as Ultralytics checks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yoloscale.config.quoting import as_typed
from yoloscale.config.schema import RunConfig
from yoloscale.errors import Problem

_UNIT = (
    "dropout lr0 lrf cls_pw momentum weight_decay warmup_momentum warmup_bias_lr hsv_h hsv_s hsv_v translate "
    "perspective flipud fliplr bgr mosaic mixup cutmix copy_paste erasing conf iou multi_scale dlam"
)
_NOT_NEGATIVE = "warmup_epochs box cls dfl pose kobj rle angle dlog dgrad dis patience workers seed"
_AT_LEAST_ONE = (
    "epochs nbs max_det mask_ratio cluster.nodes cluster.min_nodes cluster.procs_per_node cluster.threads "
    "cluster.cpus_per_task cluster.array_parallelism cluster.array_size"
)
_INFINITY = float("inf")

RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(_UNIT.split(), (0.0, 1.0)),
    **dict.fromkeys(_NOT_NEGATIVE.split(), (0, _INFINITY)),
    **dict.fromkeys(_AT_LEAST_ONE.split(), (1, _INFINITY)),
    "imgsz": (32, _INFINITY),
    "degrees": (-360, 360),
    "shear": (-90, 90),
    "checkpoint.keep": (2, _INFINITY),
    "checkpoint.every_steps": (1, _INFINITY),
    "checkpoint.keep_every_steps": (1, _INFINITY),
    "cluster.max_restarts": (0, _INFINITY),
    "cluster.max_requeues": (0, _INFINITY),
    "cluster.stop_before_s": (0, _INFINITY),
    "data.shapes.train_images": (1, _INFINITY),
    "data.shapes.val_images": (1, _INFINITY),
    "data.shapes.image_size": (64, 16384),
    "data.shapes.seed": (0, _INFINITY),
    **dict.fromkeys(("predict.unit", "predict.loaders", "vid_stride", "line_width"), (1, _INFINITY)),
    "predict.slice": (32, _INFINITY),
    "predict.slice_overlap": (0.0, 0.99),
}
_POSITIVE = ("time", "checkpoint.every_minutes", "checkpoint.mtbf_hours", "cluster.timeout_s")
_CHOICES: dict[str, tuple[Any, ...]] = {
    "optimizer": ("auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp"),
    "cache": (True, False, "ram", "disk"),
    "amp": (True, False, "fp16", "bf16", "fp32"),
    "compile": (True, False, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),
    "split": ("train", "val", "test"),
    "copy_paste_mode": ("flip", "mixup"),
    "auto_augment": (None, "randaugment", "autoaugment", "augmix"),
    "cluster.backend": (None, "nccl", "gloo"),
}


def check(config: RunConfig) -> list[Problem]:
    """Problems of single values, of the keys that its kind has."""
    problems = list[Problem]()
    for key, (low, high) in RANGES.items():
        value = _at(config, key)
        if key == "imgsz" and isinstance(value, list):
            problems += _wrong_sides(value, low)
            continue
        if value is not None and not low <= value <= high:
            upper = "" if high == _INFINITY else f", at most {high:g}"
            problems.append(Problem(key, f"{value}", f"write at least {low:g}{upper}"))
    for key in _POSITIVE:
        value = _at(config, key)
        if value is not None and not 0 < value < _INFINITY:
            problems.append(Problem(key, f"{value}", "write a number above 0"))
    for key, choices in _CHOICES.items():
        if not _has(config, key):
            continue
        value = _at(config, key)
        words = [choice.lower() for choice in choices if isinstance(choice, str)]  # in any letter case, as Ultralytics
        if not (value.lower() in words if isinstance(value, str) else any(value is choice for choice in choices)):
            problems.append(Problem(key, repr(value), f"one of {', '.join(map(as_typed, choices))}"))
    shapes: dict[str, Callable[[Any], Problem | None]] = {
        "classes": _wrong_classes,
        "freeze": _wrong_freeze,
        "scale": _wrong_scale,
        "fraction": lambda value: _wrong_fraction(value, _at(config, "split")),
    }
    lists = [wrong(_at(config, key)) for key, wrong in shapes.items() if _has(config, key)]
    return problems + [problem for problem in lists if problem is not None]


def _has(config: RunConfig, key: str) -> bool:
    return hasattr(config, key.partition(".")[0])


def _at(config: RunConfig, key: str) -> Any:
    """The value of a dotted key; None below a group that is None, or that the kind does not have."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part, None)
    return value


def _wrong_sides(size: list[Any], low: float) -> list[Problem]:
    if len(size) == 2 and all(isinstance(side, int) and side >= low for side in size):
        return []
    return [Problem("imgsz", f"{size}", f"write imgsz=SIZE or imgsz=HEIGHT,WIDTH, each at least {low:g}")]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _wrong_classes(value: Any) -> Problem | None:
    entries = value if isinstance(value, list) else [value]
    if value is None or (entries and all(_is_count(entry) for entry in entries)):
        return None
    return Problem("classes", repr(value), "write a class id or a list of them, like classes=0 or classes=0,2")


def _wrong_freeze(value: Any) -> Problem | None:
    is_list = isinstance(value, list) and all(_is_count(entry) or isinstance(entry, str) for entry in value)
    if value is None or is_list or _is_count(value):
        return None
    return Problem("freeze", repr(value), "write a number of layers, or a list of layers like freeze=0,1,23.cv2")


def _wrong_scale(value: Any) -> Problem | None:
    is_pair = isinstance(value, list) and len(value) == 2 and all(_is_number(x) and x >= 0 for x in value)
    if (is_pair and value[0] <= value[1]) or (_is_number(value) and 0 <= value <= 1):
        return None
    return Problem("scale", repr(value), "write a gain from 0 to 1, or the least and the largest like scale=0.5,1.5")


def _wrong_fraction(value: Any, split: str) -> Problem | None:
    """As Ultralytics takes it: of training alone, or of train and val, and test, which may be left nothing."""
    entries = value if isinstance(value, list) else [value]
    fits = all(_is_share(entry) or (_is_count(entry) and entry > 1) for entry in entries[:2])
    fits = fits and all(_is_share(entry) or _is_count(entry) or entry == 0.0 for entry in entries[2:])
    fits = fits and not (split == "test" and entries[2:] and entries[2] == 0)
    if fits and (not isinstance(value, list) or len(value) in (2, 3)):
        return None
    instead = "write a share above 0 up to 1, a count above 1, or one for each of train, val, test: fraction=0.5,100"
    return Problem("fraction", repr(value), instead)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 < value <= 1
