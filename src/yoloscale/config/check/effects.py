"""Arguments whose value changes nothing under the other settings of a config. Pure; nothing is opened.

Only what holds whatever the dataset is: read in Ultralytics' trainers, losses, data sets and validators and in our
loop, and compared with them by tests. What another value would not change in training and evaluation counts as no
effect. `family` is that of the model where its file was looked into, else what the name of a released one tells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from yoloscale.config.check.families import Family, family_of_name
from yoloscale.config.quoting import as_typed
from yoloscale.config.schema import Config, Task
from yoloscale.config.schema.arguments import TrainArguments


@dataclass(frozen=True)
class NoEffect:
    """Why a value does not count.

    Args:
        acts_as: a value that trains the same; one for all values that do.
        because: completes `lr0=0.1: no effect …`.
        instead: what to write to give it one.
        settings: keys whose values make it so.
        is_own: the value itself does: another one of this argument may have an effect.
        is_by_steps: it holds up to a number of optimizer steps, which the config alone does not tell.
    """

    acts_as: Any
    because: str
    instead: str
    settings: tuple[str, ...]
    is_own: bool = False
    is_by_steps: bool = False


_DEFAULTS = TrainArguments()
_BOXES = frozenset(task for task in Task if task.finds_objects)
_ALL = frozenset(Task)
_BY_KEY: dict[str, Collection[Task]] = {  # tasks in which an argument is read at all
    **dict.fromkeys(("box", "dfl", "cls", "conf", "iou", "max_det", "agnostic_nms"), _BOXES),
    **dict.fromkeys(("nms", "save_txt", "save_conf", "save_json", "visualize"), _BOXES),
    "augment": {Task.detect},
    **dict.fromkeys(("pose", "kobj", "rle"), frozenset({Task.pose})),
    **dict.fromkeys(("dlog", "dgrad", "dlam"), frozenset({Task.depth})),
    "angle": {Task.obb},
    "cls_pw": _BOXES | {Task.semantic},
    **dict.fromkeys(("overlap_mask", "mask_ratio"), frozenset({Task.segment})),
    **dict.fromkeys(("dropout", "auto_augment", "erasing"), frozenset({Task.classify})),
    **dict.fromkeys(
        ("degrees", "translate", "shear", "perspective", "bgr", "multi_scale", "classes", "rect"),
        _ALL - {Task.classify},
    ),
    **dict.fromkeys(
        ("mosaic", "mixup", "cutmix", "copy_paste", "copy_paste_mode", "close_mosaic"),
        _ALL - {Task.classify, Task.depth},
    ),
}
_RECT = "rect=true: batches of like-shaped images, without mosaic, mixup and cutmix, as in `yolo train`"
_MIXES = ("mosaic", "mixup", "cutmix", "copy_paste")
_WARM_UP = ("warmup_momentum", "warmup_bias_lr")
_ADAMS = ("adam", "adamax", "adamw", "nadam", "radam")


def without_effect(config: Config, family: Family | None = None) -> dict[str, NoEffect]:
    """The arguments of a composed config whose values do not count, each with the reason."""
    family = _family_of(config, family)
    of_model, of_mosaic = partial(_model, family=family), partial(_mosaic, family=family)
    reasons = dict[str, NoEffect]()
    for rule in (of_model, _optimizer, _schedule, of_mosaic, _beside, _steps):
        for key, reason in rule(config):
            reasons.setdefault(key, reason)
    return reasons


def canonical(config: Config, reasons: dict[str, NoEffect] | None = None) -> Config:
    """A config that trains the same, with one value for each argument whose value does not count."""
    reasons = without_effect(config) if reasons is None else reasons
    return replace(config, **{key: reason.acts_as for key, reason in reasons.items() if not reason.is_by_steps})


def remarks(
    config: Config, typed: Collection[str] = (), left_out: Collection[str] = (), family: Family | None = None
) -> list[str]:
    """A line for each reason why arguments that somebody has set have no effect, and for what `rect=true` switches off.

    `typed`: keys that count as set at their default value, too. `left_out`: keys of which nothing is said.
    """
    lines: dict[tuple[str, str], list[str]] = {}
    for key, reason in without_effect(config, family).items():
        value = getattr(config, key)
        is_set = value != getattr(_DEFAULTS, key) or (key in typed and not reason.is_own)
        if is_set and key not in left_out and not (reason.is_own and value == reason.acts_as):
            lines.setdefault((reason.because, reason.instead), []).append(f"{key}={_shown(value)}")
    sentences = [f"{', '.join(words)}: no effect {because}; {instead}" for (because, instead), words in lines.items()]
    return [_RECT, *sentences] if _is_rect(config, _family_of(config, family)) and "rect" not in left_out else sentences


def told_by_file(config: Config, known: Config, family: Family | None) -> list[str]:
    """Remarks that a model's file adds to those of `config`: it tells the task (in `known`) or the family."""
    before = remarks(config)
    return [line for line in remarks(known, family=family) if line not in before]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    return as_typed(value)


def _family_of(config: Config, family: Family | None) -> Family | None:
    return family or family_of_name(config.model.weights or config.model.architecture or "")


def _is_rect(config: Config, family: Family | None) -> bool:
    """Whether `rect=true` is known to count: a detection model of one's own may be an RT-DETR, which has no such."""
    is_known = config.model.task is not Task.detect or family not in (None, Family.rtdetr)
    return config.rect and is_known and config.model.task not in (None, Task.classify)


def _inert(
    because: str, instead: str, settings: tuple[str, ...], *keys: str, is_by_steps: bool = False
) -> Iterator[tuple[str, NoEffect]]:
    for key in keys:
        yield key, NoEffect(getattr(_DEFAULTS, key), because, instead, settings, is_by_steps=is_by_steps)


def _model(config: Config, family: Family | None) -> Iterator[tuple[str, NoEffect]]:
    task = config.model.task
    if task is None:
        return
    for key, tasks in _BY_KEY.items():
        if task not in tasks:
            others = [other.value for other in Task if other in tasks]
            words = f"{', '.join(others[:-1])} and {others[-1]}" if others[1:] else others[0]
            yield from _inert(f"in task={task.value}, only in {words}", "leave it out", ("model", "model.task"), key)
    if task is Task.classify and config.auto_augment:
        policy = f"with auto_augment={config.auto_augment}, which has colours of its own"
        yield from _inert(policy, "write auto_augment=null", ("auto_augment",), "hsv_h", "hsv_s", "hsv_v")
    if task is Task.detect:
        yield from _of_family(config, family)


def _of_family(config: Config, family: Family | None) -> Iterator[tuple[str, NoEffect]]:
    if family is Family.rtdetr:
        own = "with an RT-DETR, whose loss has gains of its own"
        yield from _inert(own, "leave it out", ("model",), "box", "cls", "dfl", "cls_pw")
        yield from _inert("with an RT-DETR, which needs no NMS", "leave it out", ("model",), "iou", "nms")
        yield from _inert("with an RT-DETR, whose images are square", "leave it out", ("model",), "rect")
        yield from _inert("with an RT-DETR, which has no test-time augmentation", "leave it out", ("model",), "augment")
    elif family is Family.yolov10:
        yield from _inert("with a YOLOv10, which has no test-time augmentation", "leave it out", ("model",), "augment")
    elif family is Family.yolo:
        yield from _inert("with a model that has no head without NMS", "leave it out", ("model",), "nms")
    if config.nms is False and family in (Family.two_heads, Family.yolov10):
        why = "with nms=false, by which there is neither NMS nor test-time augmentation"
        yield from _inert(why, "leave nms=false out", ("nms",), "augment", "iou", "agnostic_nms")


def _optimizer(config: Config) -> Iterator[tuple[str, NoEffect]]:
    name, instead = str(config.optimizer).lower(), "write optimizer=SGD, AdamW or another by name"
    if name == "auto":
        why = "with optimizer=auto, which chooses its own"
        yield from _inert(why, instead, ("optimizer",), "lr0", "warmup_bias_lr")
    elif name in _ADAMS:
        why = f"with optimizer={config.optimizer}, whose momentum has no warm-up"
        yield from _inert(why, "write optimizer=SGD, MuSGD or RMSProp", ("optimizer",), "warmup_momentum")


def _steps(config: Config) -> Iterator[tuple[str, NoEffect]]:
    """What counts in long trainings only."""
    if str(config.optimizer).lower() == "auto":
        why = "with optimizer=auto up to 10,000 optimizer steps, where it takes AdamW with a momentum of its own"
        instead = "write optimizer=SGD, AdamW or another by name (MuSGD is what it takes above)"
        yield from _inert(why, instead, ("optimizer",), "momentum", "warmup_momentum", is_by_steps=True)


def _schedule(config: Config) -> Iterator[tuple[str, NoEffect]]:
    if config.time is not None:
        auto = " (optimizer=auto still chooses by them)" if str(config.optimizer).lower() == "auto" else ""
        why = f"with time={as_typed(config.time)}, by which the run ends{auto}"
        # in the first epoch, when the pace is not known, it counts
        yield from _inert(why, "leave one of them out", ("time",), "epochs", is_by_steps=True)
    if config.epochs == 1 and config.time is None:
        yield from _inert(
            "with epochs=1: only later epochs have other rates", "add epochs", ("epochs",), "lrf", "cos_lr"
        )
        why = "with epochs=1: the last epoch has no warm-up"
        yield from _inert(why, "add epochs", ("epochs",), "warmup_epochs", *_WARM_UP)
    if config.lrf == 1.0:
        yield from _inert("with lrf=1.0, a rate that stays", "write an lrf below 1", ("lrf",), "cos_lr")
    if config.warmup_epochs == 0:
        why, instead = "with warmup_epochs=0", "write warmup_epochs above 0"
        yield from _inert(why, instead, ("warmup_epochs",), *_WARM_UP)


def _mosaic(config: Config, family: Family | None) -> Iterator[tuple[str, NoEffect]]:
    if config.model.task is None:
        return
    if config.time is None and config.close_mosaic and config.close_mosaic >= config.epochs:
        why = f"with close_mosaic={config.close_mosaic} of {config.epochs} epochs, which ends it before the first"
        instead = f"write close_mosaic=0, or more than {config.close_mosaic} epochs"
        yield from _inert(why, instead, ("close_mosaic", "epochs"), *_MIXES, "copy_paste_mode")
        own = f"beyond the {config.epochs} of epochs={config.epochs}"
        yield "close_mosaic", NoEffect(config.epochs, own, "write fewer", ("close_mosaic", "epochs"), is_own=True)
    if _is_rect(config, family):
        why = "with rect=true, whose images are not put together"
        yield from _inert(why, "leave rect=true out", ("rect",), "mosaic", "mixup", "cutmix")
        if not config.copy_paste:
            yield from _inert(why, "leave rect=true out", ("rect", "copy_paste"), "close_mosaic")
    if not any(getattr(config, key) for key in _MIXES):
        why = "without mosaic, mixup, cutmix and copy_paste, which it ends"
        yield from _inert(why, "write mosaic=1.0, or leave it out", _MIXES, "close_mosaic")
    if not config.copy_paste:
        why = "with copy_paste=0.0"
        yield from _inert(why, "write copy_paste above 0", ("copy_paste",), "copy_paste_mode")


def _beside(config: Config) -> Iterator[tuple[str, NoEffect]]:
    """Early stopping that never comes, and arguments of features that are off."""
    if config.time is None and config.patience >= config.epochs:
        why = f"with epochs={config.epochs}"
        yield "patience", NoEffect(0, why, "write fewer than epochs", ("patience", "epochs"), is_own=True)
    if config.distill_model is None:
        yield from _inert("without distill_model", "leave it out", ("distill_model",), "dis")
    if not config.save_txt:
        yield from _inert("without save_txt", "add save_txt=true", ("save_txt",), "save_conf")
    if not config.plots:
        yield from _inert("with plots=false", "leave plots=false out", ("plots",), "visualize")
    if config.pretrained is False:
        why = "with pretrained=false: there are no weights whose classes it could match"
        yield from _inert(why, "leave it out", ("pretrained",), "cls_remap")
