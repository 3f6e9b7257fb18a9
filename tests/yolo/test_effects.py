"""What is said to have no effect has none on samples, rates, loss and metrics of the parts that a rank builds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from yoloscale.config.check.effects import canonical, without_effect
from yoloscale.config.check.families import family_of_content
from yoloscale.config.schema import Config, ModelConfig, Task
from yoloscale.data.seeds import seed_all

Parts = Callable[..., Any]

OTHER: dict[str, Any] = {  # a value that is neither the default nor that of a case below
    **{"box": 1.0, "cls": 2.0, "dfl": 9.0, "pose": 1.0, "kobj": 5.0, "rle": 4.0, "angle": 3.0, "dis": 1.0},
    **{"dlog": 3.0, "dgrad": 2.0, "dlam": 0.2, "cls_pw": 0.7, "overlap_mask": False, "mask_ratio": 2},
    **{"dropout": 0.5, "auto_augment": "augmix", "erasing": 0.9, "degrees": 45.0, "translate": 0.5, "shear": 10.0},
    **{"perspective": 0.0005, "bgr": 0.5, "multi_scale": 0.5, "classes": [0], "hsv_h": 0.5, "hsv_s": 0.1, "hsv_v": 0.9},
    **{"mosaic": 0.3, "mixup": 0.9, "cutmix": 0.8, "copy_paste": 0.9, "copy_paste_mode": "mixup", "close_mosaic": 1},
    **{"lr0": 0.1, "lrf": 0.5, "cos_lr": True, "momentum": 0.5, "warmup_epochs": 1.5, "warmup_momentum": 0.3},
    **{"warmup_bias_lr": 0.02, "save_conf": True, "cls_remap": False, "rect": True},
    **{"conf": 0.4, "iou": 0.2, "max_det": 7, "agnostic_nms": True},
    **{"augment": True, "save_txt": True, "save_json": True, "visualize": True, "nms": False},
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{task.value: (task.value, {}) for task in Task},
    "one epoch": ("detect", {"epochs": 1, "optimizer": "SGD"}),
    "no warm-up": ("detect", {"optimizer": "SGD", "warmup_epochs": 0.0, "lrf": 1.0, "epochs": 4, "close_mosaic": 1}),
    "an Adam": ("segment", {"optimizer": "NAdam", "epochs": 4, "close_mosaic": 1}),
    "nothing to close": ("segment", {"mosaic": 0.0, "epochs": 4, "close_mosaic": 2, "pretrained": False}),
    "rectangles": ("detect", {"rect": True, "epochs": 4, "close_mosaic": 2}),
    "rectangles of polygons": ("segment", {"rect": True, "epochs": 4, "close_mosaic": 2, "copy_paste": 0.5}),
    "end to end": ("detect", {"nms": False, "epochs": 4, "close_mosaic": 1}),
    "RT-DETR": ("rtdetr", {"epochs": 4, "close_mosaic": 1}),
}


def traits(parts: Any, epochs: int, closing: int) -> dict[str, Any]:
    """Everything that another value could change: samples, rates of each step, the loss, and metrics."""
    optimizer, rates = parts.stepper.optimizer, []
    for epoch in range(epochs):
        for fraction in (0.3, 0.6, 1.0):
            parts.schedule.apply(optimizer, epoch, fraction, epochs)
            rates += [
                [group.get(name) for name in ("lr", "momentum", "betas", "weight_decay")]
                for group in optimizer.param_groups
            ]
    drawn = []
    for closed in sorted({bool(closing) and epoch >= epochs - closing for epoch in range(epochs)}):
        for index in range(6):
            seed_all(index)
            drawn.append(parts.samples.sample(index, closed))
    module = parts.learner.module.train()
    if hasattr(module.model[-1], "num_denoising"):
        module.model[-1].num_denoising = 0
    seed_all(0)
    with torch.no_grad():
        loss, _ = parts.learner.loss(
            parts.learner.preprocess(parts.samples.collate([dict(each) for each in drawn[-6:]]))
        )
    seed_all(0)
    return {"rates": rates, "samples": drawn, "loss": loss, "metrics": parts.evaluation(parts.learner.module)}


def differing(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() != other.keys() or any(differing(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) != len(other) or any(map(differing, one, other))
    if isinstance(one, torch.Tensor):
        return one.shape != other.shape or not torch.equal(one, other)
    return bool(one != other) and not (one != one and other != other)  # nan is nan here


@pytest.mark.long
@pytest.mark.parametrize(("task", "arguments"), CASES.values(), ids=CASES)
def test_other_values_of_arguments_without_effect_change_nothing(
    config_of: Parts, parts_of: Parts, small_rtdetr: Path, tmp_path: Path, task: str, arguments: dict[str, Any]
) -> None:
    if task == "rtdetr":
        own = shutil.copy(small_rtdetr, tmp_path / "rtdetr-small.yaml")
        arguments = {**arguments, "model": ModelConfig(task=Task.detect, architecture=str(own))}
    config = config_of(task, **arguments)
    changed = {key: OTHER[key] for key, reason in without_effect(config).items() if not reason.is_own}
    assert changed
    before, after = (
        traits(parts_of(task, **{**arguments, **values}), config.epochs, config.close_mosaic)
        for values in ({}, changed)
    )
    assert [name for name in before if differing(before[name], after[name])] == []
    always = {key: value for key, value in changed.items() if not without_effect(config)[key].is_by_steps}
    assert canonical(replace(config, **always)) == canonical(config)


def test_what_has_an_effect_is_seen(parts_of: Parts) -> None:
    """The comparison above can fail: each of its four parts tells a value that counts."""
    before = traits(parts_of("segment", optimizer="SGD"), 2, 1)
    for changed, trait in (({"lr0": 0.1}, "rates"), ({"mosaic": 0.0}, "samples"), ({"box": 1.0}, "loss")):
        after = traits(parts_of("segment", **{"optimizer": "SGD", **changed}), 2, 1)
        assert differing(before[trait], after[trait])


@pytest.mark.parametrize("nms", [None, False])
@pytest.mark.parametrize("architecture", ["yolov8n", "yolo11n", "yolov10n", "yolo26n", "yolo26n-p2", "rtdetr"])
def test_test_time_augmentation_is_said_to_have_no_effect_where_it_has_none(
    small_rtdetr: Path, architecture: str, nms: bool | None
) -> None:
    """Asked of Ultralytics' own models, by the name of a released one and by the architecture of any."""
    from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel

    torch.manual_seed(0)
    if architecture == "rtdetr":
        model = RTDETRDetectionModel(str(small_rtdetr), verbose=False).eval()
    else:
        model = DetectionModel(f"{architecture}.yaml", verbose=False).eval()
        model.end2end = nms is False
    with torch.inference_mode():
        plain, augmented = (model(torch.rand(1, 3, 64, 64).fill_(0.5), augment=augment)[0] for augment in (False, True))
    is_inert = plain.shape == augmented.shape and torch.equal(plain, augmented)
    name = "rtdetr-l" if architecture == "rtdetr" else architecture
    config = Config(model=ModelConfig(task=Task.detect, weights=f"{name}.pt"), augment=True, nms=nms)
    assert ("augment" in without_effect(config)) is is_inert
    own = replace(config, model=ModelConfig(task=Task.detect, weights="best.pt"))
    assert "augment" not in without_effect(own), "not known before the file is looked into"
    assert ("augment" in without_effect(own, family_of_content(model.yaml))) is is_inert


def test_every_claim_is_in_a_case(config_of: Parts) -> None:
    claimed = {key for task, arguments in CASES.values() for key in without_effect(config_of(task, **arguments))}
    assert claimed - {"patience"} == OTHER.keys()
