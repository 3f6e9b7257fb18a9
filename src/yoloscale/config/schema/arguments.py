"""Ultralytics' train and validation arguments, by their own bare names, each with Ultralytics' own default.

A test compares names and defaults with `ultralytics/cfg/default.yaml`, so that a new release is noticed. Arguments of
other commands, and those that are written elsewhere here (`device`, `project`, …), are in `refusals`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(init=False, repr=False, eq=False)  # inherited only: generating these takes time at each start
class TrainArguments:
    """Everything that a `yolo train` user may set. `Any` marks a scalar-or-list argument; `ranges` checks its shape."""

    # length and size
    epochs: int = 100
    time: float | None = None  # hours; replaces epochs
    patience: int = 100  # epochs without a better fitness; 0 never stops early
    batch: int | float = 16  # global batch of one forward pass; -1 or a fraction of GPU memory: sized on the GPU
    imgsz: int = 640  # pixels; left unset, 224 for classify as in Ultralytics
    save: bool = True
    save_period: int = -1  # epochs between kept weights/epochN.pt; below 1: none
    cache: bool | str = False  # True or "ram", "disk"
    workers: int = 8  # dataloader workers of each rank
    pretrained: bool | str = True  # False: from scratch; a path: weights loaded into the architecture
    cls_remap: bool = True
    optimizer: str = "auto"
    verbose: bool = True
    seed: int = 0
    deterministic: bool = True
    single_cls: bool = False
    rect: bool = False
    cos_lr: bool = False
    close_mosaic: int = 10  # last epochs without mosaic
    amp: bool | str = True  # True, False (on GPUs TF32), "fp16", "bf16", "fp32"
    fraction: Any = 1.0  # share (0, 1] or count > 1 of the training images, or [train, val], or [train, val, test]
    profile: bool = False
    freeze: Any = None  # first N layers, or a list of layer indices or module names
    multi_scale: float = 0.0
    compile: bool | str = False
    channels_last: bool | None = None  # None: where it is faster

    # tasks
    overlap_mask: bool = True
    mask_ratio: int = 4
    dropout: float = 0.0

    # validation
    val: bool = True
    split: str = "val"
    save_json: bool = False
    conf: float | None = None
    iou: float = 0.7
    max_det: int = 300
    quantize: int | str | None = None
    plots: bool = True
    nms: bool | None = None
    augment: bool = False
    agnostic_nms: bool = False
    classes: Any = None  # class id or list of class ids
    save_txt: bool = False
    save_conf: bool = False
    visualize: bool = False

    # hyperparameters
    lr0: float = 0.01
    lrf: float = 0.01
    momentum: float = 0.937
    weight_decay: float = 0.0005
    warmup_epochs: float = 3.0
    warmup_momentum: float = 0.8
    warmup_bias_lr: float = 0.1
    distill_model: str | None = None
    dis: float = 6.0
    box: float = 7.5
    cls: float = 0.5
    cls_pw: float = 0.0
    dfl: float = 1.5
    pose: float = 12.0
    kobj: float = 1.0
    rle: float = 1.0
    angle: float = 1.0
    dlog: float = 1.0
    dgrad: float = 0.5
    dlam: float = 1.0
    nbs: int = 64  # images of one optimiser step: gradients accumulate over round(nbs / batch) batches

    # augmentation
    hsv_h: float = 0.015
    hsv_s: float = 0.7
    hsv_v: float = 0.4
    degrees: float = 0.0
    translate: float = 0.1
    scale: Any = 0.5  # gain, or [min, max]
    shear: float = 0.0
    perspective: float = 0.0
    flipud: float = 0.0
    fliplr: float = 0.5
    bgr: float = 0.0
    mosaic: float = 1.0
    mixup: float = 0.0
    cutmix: float = 0.0
    copy_paste: float = 0.0
    copy_paste_mode: str = "flip"
    auto_augment: str | None = "randaugment"
    erasing: float = 0.4
