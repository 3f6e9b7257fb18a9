"""A classification dataset: a folder with train/CLASS/ and val/CLASS/, read as the ranks read it, without torch.

`read` counts what `check_cls_dataset` and `ClassificationDataset` of Ultralytics (with torchvision's `ImageFolder`)
train: every folder in train/ is a class, hidden and empty ones too; evaluated is what train/ has a class for. The ranks
compare their classes with it (`yolo.datasets`).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import yaml

from yoloscale.datasets.file_kinds import is_image
from yoloscale.errors import Problem

_LOOKED_AT = 500  # entries of a folder, for one that is an image
_VALIDATION = ("val", "validation", "valid")
_NAMES_OF_NDJSON = ".ndjson.yaml"  # Ultralytics' own: folders are numbers there, and this file has their names


@dataclass(frozen=True)
class ClassFolders:
    """Image files of each split by class."""

    root: Path
    classes: tuple[str, ...]  # folders of train/, in the order of class indices
    names: tuple[str, ...]  # what they are called
    splits: dict[str, dict[str, list[str]]]  # by folder, every one of `classes`; absent splits are left out
    unknown: dict[str, dict[str, int]] = field(default_factory=dict)  # images of folders that train/ lacks: left out


def read(root: Path, split: str, *, single_class: bool = False) -> ClassFolders:
    """What a run trains and evaluates (`split`) on; with `single_class` all folders are one class."""
    by_split = {name: _by_folder(path) for name, path in _split_folders(root, split).items()}
    classes, names = class_names(root)
    if single_class:
        merged = {name: {"item": sorted(chain.from_iterable(by.values()))} for name, by in by_split.items()}
        return ClassFolders(root, ("item",), ("item",), merged)
    splits = {name: {kind: folders.get(kind, []) for kind in classes} for name, folders in by_split.items()}
    unknown = {name: {k: len(v) for k, v in folders.items() if k not in classes} for name, folders in by_split.items()}
    return ClassFolders(root, classes, names, splits, unknown)


def class_names(root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The class folders below `root`/train in the order of their indices, and what the classes are called."""
    train = root / "train"
    folders = tuple(sorted(entry.name for entry in os.scandir(train) if entry.is_dir())) if train.is_dir() else ()
    listing = root / _NAMES_OF_NDJSON
    if not listing.is_file():
        return folders, folders
    names = yaml.safe_load(listing.read_text(encoding="utf-8"))["names"]
    return tuple(f"{index:06d}" for index in range(len(names))), tuple(str(names[i]) for i in range(len(names)))


def problems(dataset: ClassFolders, split: str) -> list[Problem]:
    """What makes training impossible."""
    root = dataset.root
    layout = f"put images into {root}/train/CLASS/ and {root}/val/CLASS/"
    absent = [name for name in dict.fromkeys(("train", split)) if name not in dataset.splits]
    result = [Problem(f"data.{name}", f"{root} has no folder {name}/", layout) for name in absent]
    if "train" not in dataset.splits:
        return result
    if not dataset.classes:
        return [*result, Problem("data.train", f"{root}/train holds no class folders", layout)]
    if result:
        instead = f"write data={root}/train, of which 80 % of each class are then trained on, or {layout}"
        result = [replace(problem, instead=instead) for problem in result]
    for name, classes in dataset.splits.items():
        if any(classes.values()):
            continue
        if unknown := {kind: count for kind, count in dataset.unknown.get(name, {}).items() if count}:
            what = f"has none of the classes of train/ ({_some(dataset.classes)}), but {_some(unknown)}"
            result.append(Problem(f"data.{name}", what, f"name the folders in {root / name} as those in train/"))
        else:
            result.append(Problem(f"data.{name}", f"{root / name} holds {_some(classes)} without images", layout))
    return result


def notes(dataset: ClassFolders, split: str) -> list[str]:
    """What is odd, but no reason to stop."""
    train, evaluated = dataset.splits["train"], dataset.splits[split]
    result = []
    for name in (name for name in dataset.classes if name.startswith(".")):
        images = f"{len(train[name])} images" if train[name] else "no images"
        folder = shlex.quote(str(dataset.root / "train" / name))
        what = f"the hidden folder train/{name} ({images}) is a class, as for Ultralytics"
        result.append(f"{what}; if not: rm -r {folder}")
    if left_out := {name: count for name, count in dataset.unknown.get(split, {}).items() if count}:
        result.append(f"{sum(left_out.values())} images of {split} are left out: train/ has no class {_some(left_out)}")
    if empty := [name for name, images in train.items() if not images and not name.startswith(".")]:
        result.append(f"train has no images of {_some(empty)}: a class all the same")
    if absent := [name for name in dataset.classes if train[name] and not evaluated[name]]:
        result.append(f"{split} has no images of {_some(absent)}")
    return result


def looks_like_classes(folder: Path) -> bool:
    """Whether a folder holds class folders, with or without train/ above them, and not a dataset of another task."""
    below = folder / "train" if (folder / "train").is_dir() else folder
    folders = sorted(path for path in below.iterdir() if path.is_dir() and not path.name.startswith("."))
    kinds = [folder for folder in folders if folder.name not in ("images", "labels")]
    return len(kinds) > 1 and all(_has_image(kind) for kind in kinds[:3])


def _has_image(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image(entry.name) for _, entry in zip(range(_LOOKED_AT), entries, strict=False))


def _split_folders(root: Path, split: str) -> dict[str, Path]:
    """The folders that training and evaluation on `split` read, by the name of the split; absent ones are left out."""
    folders = {"train": root / "train"} if (root / "train").is_dir() else {}
    order = [*_VALIDATION, "test"] if split != "test" else ["test", *_VALIDATION]
    evaluated = next((root / name for name in order if (root / name).is_dir()), None)
    return folders if evaluated is None or split == "train" else {**folders, split: evaluated}


def _by_folder(folder: Path) -> dict[str, list[str]]:
    """Image files of every class folder, through links, hidden ones too."""
    images = dict[str, list[str]]()
    for kind in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()):
        walk = sorted((parent, files) for parent, _, files in os.walk(f"{folder}{os.sep}{kind}", followlinks=True))
        images[kind] = [f"{parent}{os.sep}{name}" for parent, files in walk for name in sorted(files) if is_image(name)]
    return images


def _some(names: Iterable[str]) -> str:
    chosen: Sequence[str] = list(names)
    return ", ".join(chosen[:10]) + (f" and {len(chosen) - 10} more" if len(chosen) > 10 else "")
