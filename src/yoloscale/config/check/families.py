"""Families of models: those whose arguments differ, and those that cannot be trained here, with the nearest that can.

Told by a released file's name, by the modules of an architecture YAML, and by the class that a `.pt` file holds.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from yoloscale.config.keys import nearest
from yoloscale.config.tasks import Task
from yoloscale.errors import Problem

TRAINED_HEADS = frozenset(head for task in Task for head in task.row.heads)
# Modules and classes of models that are trained with texts or prompts beside the images.
WORLD = frozenset({"WorldDetect", "C2fAttn", "ImagePoolingAttn", "WorldModel"})
YOLOE = frozenset({"YOLOEDetect", "YOLOESegment", "YOLOESegment26", "LRPCHead", "YOLOEModel", "YOLOESegModel"})

_OPEN_VOCABULARY = "is trained with texts beside the images, which is not done here"
_PROMPTED = "finds what a prompt points at; Ultralytics does not train it"
_NAMES = (
    (re.compile(r"yolov8([smlx])-world(v2)?"), "YOLO-World", _OPEN_VOCABULARY, "yolov8{0}"),
    (re.compile(r"yoloe-(v8|11|26)([nsmlx])(-seg)?(-pf)?"), "YOLOE", _OPEN_VOCABULARY, "yolo{0}{1}{2}"),
    (re.compile(r"(?:mobile_sam|sam|sam2|sam2\.1|sam3)(?:[_.].*)?"), "SAM", _PROMPTED, "yolo26n-seg"),
    (re.compile(r"fastsam-([sx])"), "FastSAM", _PROMPTED, "yolo26{0}-seg"),
    (re.compile(r"yolo_nas_([sml])"), "YOLO-NAS", "is not trained by Ultralytics, only run", "yolo26{0}"),
)
_FOREIGN = {  # packages whose classes a `.pt` of another project names
    "models": ("a YOLOv5 or YOLOv7 model of its own repository", "write model={}"),
    "yolov6": ("a YOLOv6 model of its own repository", "write model=yolov6n.yaml (from scratch), or model={}"),
    "yolox": ("a YOLOX model", "write model={}"),
    "super_gradients": ("a YOLO-NAS model", "write model={}"),
    "segment_anything": ("a SAM model", "write model=yolo26n-seg"),
    "rfdetr": ("an RF-DETR model", "write model=rtdetr-l.pt, or model={}"),
    "mmengine": ("a model of OpenMMLab", "write model={}"),
}
_YOLOV5 = re.compile(r"(yolov5[nsmlx]6?)(?:u)?")
_SIZES = r"[a-z]?(?:-p[26])?"  # what Ultralytics has released


class Family(Enum):
    """Detection models, by what their arguments do."""

    rtdetr = re.compile(r"rtdetr-\w+")
    yolov10 = re.compile(rf"yolov10{_SIZES}")  # its head is end to end, and of a class of its own
    two_heads = re.compile(rf"yolo26{_SIZES}")  # with NMS, or end to end
    yolo = re.compile(rf"yolo(?:v\d+|\d+){_SIZES}")  # any other


def family_of_name(word: str) -> Family | None:
    """The family of a released detection model's name or file; None of a file of one's own, which may be of any."""
    stem = Path(word).stem.lower()
    return next((family for family in Family if family.value.fullmatch(stem)), None)


def family_of_content(architecture: dict[str, Any]) -> Family | None:
    """The family of a detection model by its architecture's YAML, which a `.pt` file holds too; None without a head."""
    try:
        head = str(architecture["head"][-1][2])
    except (KeyError, IndexError, TypeError):
        return None
    if head == "RTDETRDecoder":
        return Family.rtdetr
    if head == "v10Detect":
        return Family.yolov10
    return Family.two_heads if architecture.get("end2end") else Family.yolo


def of_name(word: str) -> Problem | None:
    """The problem of a released model's name or file name (`yolov8s-world`, `sam_b.pt`); None if it may be trained."""
    name = Path(word).name
    stem = Path(name).stem if Path(name).suffix.lower() in (".pt", ".yaml", ".yml") else name
    for pattern, family, why, near in _NAMES:
        if match := pattern.fullmatch(stem.lower()):
            alike = near.format(*(part or "" for part in match.groups()))
            newest = re.sub(r"^yolo(v8|11)(?=[a-z])", "yolo26", alike)
            also = f", or model={newest}" if newest != alike else ""
            return Problem("model", f"{word!r} is {family}, which {why}", f"write model={alike}{also}")
    return None


def of_architecture(file: Path) -> Problem | None:
    """The problem of an architecture YAML by its modules; None if it may be trained, or is not to be read at all."""
    content = content_of(file)
    try:
        layers = [*(content.get("backbone") or []), *content["head"]]
        modules = [str(layer[2]) for layer in layers]
    except (KeyError, IndexError, TypeError):
        return None  # whoever builds the model says what is wrong with it
    for family, own in (("YOLO-World", WORLD), ("YOLOE", YOLOE)):
        if used := [module for module in modules if module in own]:
            found = f"{file.name} has {used[0]}, a module of {family}, which {_OPEN_VOCABULARY}"
            return Problem("model", found, "write model=yolo26n, or an architecture with Detect or Segment as its head")
    if modules[-1] in TRAINED_HEADS:
        return None
    near = nearest(modules[-1], TRAINED_HEADS)
    meant = f"write {near[0]}, or one of" if near else "write one of"
    found = f"{file.name} ends in {modules[-1]}, a head that no trainer here knows"
    return Problem("model", found, f"{meant} {', '.join(sorted(TRAINED_HEADS))}")


def content_of(file: Path) -> dict[str, Any]:
    """What an architecture YAML holds; empty if it is not to be read, which whoever builds the model tells."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def of_weights(path: Path, model_class: str, architecture: dict[str, Any], task: str | None) -> Problem | None:
    """The problem of a `.pt` file by the class of its model; None if it may be trained.

    Args:
        model_class: its full name, `ultralytics.nn.tasks.WorldModel`.
        architecture: the YAML of the model as the file has it; its scale tells the nearest.
        task: of the model; None if the file does not say.
    """
    package, name = model_class.partition(".")[0], model_class.rpartition(".")[2]
    scale = str(architecture.get("scale") or "")
    suffix = "-seg" if task == "segment" or "Seg" in name else ""
    alike = f"yolo26{scale if scale in tuple('nsmlx') else 'n'}{suffix}"
    if name in WORLD | YOLOE:
        family = "YOLO-World" if name in WORLD else "YOLOE"
        return Problem("model", f"{path} is {family}, which {_OPEN_VOCABULARY}", f"write model={alike}")
    if package in _FOREIGN:
        what, instead = _FOREIGN[package]
        if released := _YOLOV5.fullmatch(path.stem.lower()):
            alike = f"{released[1]}u.pt, which is Ultralytics' release of it, or model={alike}"
        return Problem("model", f"{path} is {what} ({model_class})", instead.format(alike))
    return None
