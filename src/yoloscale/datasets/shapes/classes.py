"""The classes and keypoints of the built-in dataset, and the data.yaml that names them."""

from __future__ import annotations

from yoloscale.config.schema import LabelKind, Task

CLASSES = ("circle", "rectangle", "triangle", "star")
KEYPOINTS = ("head", "right", "tail", "left")
FLIPPED_KEYPOINTS = (0, 3, 2, 1)  # what each keypoint is called after a horizontal flip


def data_yaml(task: Task) -> dict[str, object]:
    """What data.yaml of a task says; without `path`, so the folder that holds it is the root wherever it lies."""
    common: dict[str, object] = {"train": "images/train", "val": "images/val"}
    names: dict[int, str] = dict(enumerate(CLASSES))
    if task.label_kind is LabelKind.keypoints:
        keypoints = {"kpt_shape": [len(KEYPOINTS), 3], "flip_idx": list(FLIPPED_KEYPOINTS)}
        named = {"kpt_names": {kind: list(KEYPOINTS) for kind in names}}
        return {**common, **keypoints, "names": names, **named}
    if task.label_kind is LabelKind.masks:
        return {**common, "masks_dir": "masks", "names": dict(enumerate(("background", *CLASSES)))}
    if task.label_kind is LabelKind.depth:
        return {**common, "nc": 1, "channels": 3, "depth_scale": 1000, "names": {0: "depth"}}
    return {**common, "names": names}
