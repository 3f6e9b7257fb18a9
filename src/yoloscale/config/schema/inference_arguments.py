"""Ultralytics' arguments of prediction and of validation, by their own bare names, each with Ultralytics' own default.

A test compares names and defaults with `ultralytics/cfg/default.yaml` and with what `YOLO.predict` and `YOLO.val` put
in their place. Arguments of other commands, and those that are written elsewhere here, are in `refusals`; values that
are not taken are in `check`. What is None is the checkpoint's own: `config/resolve.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(init=False, repr=False, eq=False)  # inherited only: generating these takes time at each start
class PredictArguments:
    """Everything that a `yolo predict` user may set. `Any` marks a scalar-or-list argument."""

    # which objects
    conf: float | None = None  # None: 0.25
    iou: float = 0.7
    max_det: int = 300
    agnostic_nms: bool = False
    classes: Any = None  # class id or list of class ids
    nms: bool | None = None  # False: the head without NMS, where the model has one
    augment: bool = False
    retina_masks: bool = False  # masks at the size of the image

    # how they are computed
    imgsz: Any = None  # pixels, or [height, width]; None: the checkpoint's own
    batch: int = 16  # images of one forward pass on a GPU; on CPUs they are taken one by one
    rect: bool = True  # the least rectangle that holds an image, where the weights take it
    quantize: int | str | None = None  # 16: half precision, on GPUs
    channels_last: bool | None = None  # None: where it is faster
    dnn: bool = False
    compile: bool | str = False
    embed: Any = None  # layers whose outputs are the image's embedding, in place of objects

    # of videos
    vid_stride: int = 1  # each so many frames
    stream_buffer: bool = False

    # what is made of them beside the rows: `predict.save` has the names
    save: bool = False  # as of `YOLO.predict`; `yolo predict` draws every picture
    save_frames: bool = False
    save_txt: bool = False
    save_conf: bool = False
    save_crop: bool = False
    save_json: bool = False
    show: bool = False
    show_labels: bool = True
    show_conf: bool = True
    show_boxes: bool = True
    line_width: int | None = None
    visualize: bool = False


@dataclass(init=False, repr=False, eq=False)  # inherited only: generating these takes time at each start
class ValArguments:
    """Everything that a `yolo val` user may set. `Any` marks a scalar-or-list argument."""

    # which images
    split: str = "val"
    fraction: Any = 1.0  # share (0, 1] or count > 1, or one for each of train, val, test
    classes: Any = None  # class id or list of class ids
    single_cls: bool | None = None  # None: as the checkpoint was trained

    # which objects
    conf: float | None = None  # None: 0.001, for obb 0.01
    iou: float = 0.7
    max_det: int = 300
    agnostic_nms: bool = False
    nms: bool | None = None  # False: the head without NMS, where the model has one
    augment: bool = False

    # how they are computed
    imgsz: int | None = None  # pixels; None: the checkpoint's own
    batch: int = 16  # images that share a shape with rect=true, whatever the ranks
    rect: bool = True  # as of `YOLO.val`
    quantize: int | str | None = None  # 16: half precision, on GPUs
    channels_last: bool | None = None  # None: where it is faster
    dnn: bool = False
    compile: bool | str = False
    workers: int = 8  # dataloader workers of each rank
    cache: bool | str = False  # True or "ram", "disk"
    overlap_mask: bool = True
    mask_ratio: int = 4

    # what is made of them beside the metrics
    verbose: bool = True  # a row for each class
    plots: bool = True
    save_json: bool = False
    save_txt: bool = False
    save_conf: bool = False
    visualize: bool = False
