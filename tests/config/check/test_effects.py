from __future__ import annotations

from typing import Any

import pytest

from yoloscale.config.check.effects import canonical, remarks, told_by_file, without_effect
from yoloscale.config.check.families import Family, family_of_name
from yoloscale.config.compose.many import compose_each
from yoloscale.config.locations import configs_folder
from yoloscale.config.schema import Config, ModelConfig, Task


def config(task: Task | None = Task.detect, **arguments: Any) -> Config:
    return Config(model=ModelConfig(task=task, weights="yolo26n.pt"), **arguments)


RECT = "rect=true: batches of like-shaped images, without mosaic, mixup and cutmix, as in `yolo train`"
SAID: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the defaults": ({}, []),
    "rates of auto": (
        {"lr0": 0.05, "warmup_bias_lr": 0.2},
        [
            "lr0=0.05, warmup_bias_lr=0.2: no effect with optimizer=auto, which chooses its own; "
            "write optimizer=SGD, AdamW or another by name"
        ],
    ),
    "rates of SGD": ({"lr0": 0.05, "momentum": 0.9, "warmup_momentum": 0.5, "optimizer": "SGD"}, []),
    "warm-up of an Adam": (
        {"warmup_momentum": 0.5, "optimizer": "adamw"},
        [
            "warmup_momentum=0.5: no effect with optimizer=adamw, whose momentum has no warm-up; "
            "write optimizer=SGD, MuSGD or RMSProp"
        ],
    ),
    "patience beyond the end": (
        {"patience": 300},
        ["patience=300: no effect with epochs=100; write fewer than epochs"],
    ),
    "patience off": ({"patience": 0, "epochs": 3}, []),
    "fewer epochs than the default's patience": ({"epochs": 3}, []),
    "patience of a run by the clock": ({"patience": 300, "time": 1.0}, []),
    "the last epochs, which are all": (
        {"mosaic": 0.5, "epochs": 5},
        [
            "mosaic=0.5: no effect with close_mosaic=10 of 5 epochs, which ends it before the first; "
            "write close_mosaic=0, or more than 10 epochs"
        ],
    ),
    "mosaic until the end": ({"mosaic": 0.5, "epochs": 5, "close_mosaic": 0}, []),
    "mosaic by the clock": (
        {"mosaic": 0.5, "epochs": 5, "time": 0.5},
        [
            "epochs=5: no effect with time=0.5, by which the run ends (optimizer=auto still chooses by them); "
            "leave one of them out"
        ],
    ),
    "epochs by the clock": (
        {"epochs": 5, "time": 0.5, "optimizer": "SGD"},
        ["epochs=5: no effect with time=0.5, by which the run ends; leave one of them out"],
    ),
    "nothing to close": (
        {"mosaic": 0.0, "close_mosaic": 5},
        [
            "close_mosaic=5: no effect without mosaic, mixup, cutmix and copy_paste, which it ends; "
            "write mosaic=1.0, or leave it out"
        ],
    ),
    "rectangles": (
        {"rect": True, "mosaic": 0.5, "mixup": 0.1, "close_mosaic": 5},
        [
            RECT,
            "mosaic=0.5, mixup=0.1, close_mosaic=5: no effect with rect=true, whose images are not put together; "
            "leave rect=true out",
        ],
    ),
    "mixup to close": ({"mosaic": 0.0, "mixup": 0.1, "close_mosaic": 5}, []),
    "loss of another task": ({"pose": 3.0}, ["pose=3.0: no effect in task=detect, only in pose; leave it out"]),
    "losses of the own task": ({"box": 3.0, "cls": 1.0, "dfl": 1.0, "cls_pw": 0.5}, []),
    "of another task, with null": (
        {"auto_augment": None},
        ["auto_augment=null: no effect in task=detect, only in classify; leave it out"],
    ),
    "options of the final evaluation": ({"save_txt": True, "save_conf": True, "visualize": True, "augment": True}, []),
    "confidences of nothing": (
        {"save_conf": True},
        ["save_conf=true: no effect without save_txt; add save_txt=true"],
    ),
    "no plots": (
        {"visualize": True, "plots": False},
        ["visualize=true: no effect with plots=false; leave plots=false out"],
    ),
    "augmentation without NMS": (
        {"augment": True, "nms": False},
        [
            "augment=true: no effect with nms=false, by which there is neither NMS nor test-time augmentation; "
            "leave nms=false out"
        ],
    ),
    "nbs below the batch: weight decay is scaled by it": ({"nbs": 8, "batch": 16}, []),
}


@pytest.mark.parametrize(("arguments", "lines"), SAID.values(), ids=SAID)
def test_what_is_said_of_one_run(arguments: dict[str, Any], lines: list[str]) -> None:
    assert remarks(config(**arguments)) == lines


@pytest.mark.parametrize(
    ("task", "arguments", "keys"),
    [
        (Task.classify, {"hsv_h": 0.1, "degrees": 5.0, "mosaic": 0.5, "dropout": 0.1}, {"hsv_h", "degrees", "mosaic"}),
        (Task.classify, {"hsv_h": 0.1, "auto_augment": None, "erasing": 0.1}, set()),
        (Task.segment, {"mask_ratio": 2, "overlap_mask": False, "angle": 2.0}, {"angle"}),
        (Task.obb, {"angle": 2.0, "kobj": 2.0, "dropout": 0.1}, {"kobj", "dropout"}),
        (Task.depth, {"dlam": 0.5, "box": 1.0, "mosaic": 0.0, "conf": 0.3}, {"box", "mosaic", "conf"}),
        (Task.semantic, {"cls_pw": 0.5, "iou": 0.5}, {"iou"}),
        (Task.classify, {"save_txt": True, "visualize": True}, {"save_txt", "visualize"}),
        (Task.obb, {"save_txt": True, "visualize": True, "augment": True}, {"augment"}),
        (None, {"box": 1.0, "mosaic": 0.0, "lr0": 0.5}, {"lr0"}),
    ],
)
def test_which_arguments_a_task_has(task: Task | None, arguments: dict[str, Any], keys: set[str]) -> None:
    made = config(task, **arguments)
    assert {key for key in without_effect(made) if key in arguments} == keys


def test_typed_at_its_default_a_value_is_told_of_too() -> None:
    assert remarks(config(), {"epochs"}) == []
    [line] = remarks(config(), {"lr0", "box"})
    assert line.startswith("lr0=0.01: no effect")
    assert remarks(config(), {"lr0"}, left_out={"lr0"}) == []


def of(weights: str, **arguments: Any) -> Config:
    return Config(model=ModelConfig(task=Task.detect, weights=weights), **arguments)


def test_weights_of_ones_own_may_be_of_a_family_that_knows_no_rect() -> None:
    own = of("runs/x/weights/best.pt", rect=True, mosaic=0.5)
    assert not {"mosaic", "rect"} & without_effect(own).keys()
    assert remarks(own) == []
    released = of("rtdetr-l.pt", rect=True, mosaic=0.5, box=3.0)
    assert {"rect", "box"} <= without_effect(released).keys()
    assert "mosaic" not in without_effect(released)


@pytest.mark.parametrize(
    ("word", "family"),
    [
        ("rtdetr-l.pt", Family.rtdetr),
        ("RTDETR-resnet50.yaml", Family.rtdetr),
        ("yolov10b.pt", Family.yolov10),
        ("yolo26n-p2.yaml", Family.two_heads),
        ("weights/yolo26x.pt", Family.two_heads),
        ("yolov5nu.pt", None),
        ("yolov9c.pt", Family.yolo),
        ("yolo12n.yaml", Family.yolo),
        ("best.pt", None),
        ("my-rtdetr-l.pt", None),
        ("", None),
    ],
)
def test_a_released_name_tells_the_family(word: str, family: Family | None) -> None:
    assert family_of_name(word) is family


@pytest.mark.parametrize(
    ("arguments", "family", "parts"),
    [
        ({"augment": True}, Family.rtdetr, ["augment=true: no effect with an RT-DETR"]),
        ({"augment": True}, Family.yolov10, ["augment=true: no effect with a YOLOv10"]),
        ({"augment": True, "nms": False}, Family.two_heads, ["augment=true: no effect with nms=false"]),
        ({"augment": True, "nms": False}, Family.yolo, ["nms=false: no effect with a model that has no head"]),
        ({"iou": 0.5, "nms": False}, Family.yolov10, ["iou=0.5: no effect with nms=false"]),
        ({"rect": True}, Family.yolo, [RECT]),
        ({"rect": True}, Family.rtdetr, ["rect=true: no effect with an RT-DETR"]),
        ({"rect": True, "lr0": 0.1}, None, []),
    ],
)
def test_the_file_of_a_model_adds_what_its_name_does_not_tell(
    arguments: dict[str, Any], family: Family | None, parts: list[str]
) -> None:
    own = of("best.pt", **arguments)
    lines = told_by_file(own, own, family)
    assert len(lines) == len(parts)
    assert all(map(str.startswith, lines, parts))
    if family is not None:
        names = {"rtdetr": "rtdetr-l.pt", "yolov10": "yolov10n.pt", "two_heads": "yolo26n.pt", "yolo": "yolo11n.pt"}
        released = of(names[family.name], **arguments)
        assert told_by_file(released, released, family) == [], "said when it was configured"


def test_the_task_that_a_file_tells_adds_its_remarks() -> None:
    known = config(Task.classify, box=3.0, lr0=0.1)
    [line] = told_by_file(config(None, box=3.0, lr0=0.1), known, None)
    assert line.startswith("box=3.0: no effect in task=classify")


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ({"lr0": 0.1}, {"lr0": 0.2}, True),
        ({"lr0": 0.1, "optimizer": "SGD"}, {"lr0": 0.2, "optimizer": "SGD"}, False),
        ({"patience": 0, "epochs": 9}, {"patience": 9, "epochs": 9}, True),
        ({"patience": 8, "epochs": 9}, {"patience": 9, "epochs": 9}, False),
        ({"close_mosaic": 5, "epochs": 5}, {"close_mosaic": 50, "epochs": 5}, True),
        ({"close_mosaic": 0, "epochs": 5}, {"close_mosaic": 5, "epochs": 5}, False),
        ({"warmup_epochs": 1.0, "epochs": 1}, {"warmup_epochs": 3.0, "epochs": 1}, True),
        ({"copy_paste_mode": "flip"}, {"copy_paste_mode": "mixup"}, True),
        ({"seed": 1}, {"seed": 2}, False),
        ({"epochs": 5, "time": 1.0}, {"epochs": 500, "time": 1.0}, False),  # the first epoch counts on them
        ({"momentum": 0.8}, {"momentum": 0.9}, False),  # above 10,000 steps it counts
        ({"warmup_momentum": 0.8, "epochs": 1}, {"warmup_momentum": 0.9, "epochs": 1}, True),
    ],
)
def test_which_configs_train_the_same(one: dict[str, Any], other: dict[str, Any], are_alike: bool) -> None:
    assert (canonical(config(**one)) == canonical(config(**other))) is are_alike


def test_recipes_set_nothing_without_effect() -> None:
    names = sorted(path.stem for path in (configs_folder() / "experiment").glob("*.yaml"))
    assert "shapes_demo" in names
    for name, found in zip(names, compose_each([[f"experiment={name}"] for name in names]), strict=True):
        assert isinstance(found, Config), name
        assert remarks(found) == [], name
