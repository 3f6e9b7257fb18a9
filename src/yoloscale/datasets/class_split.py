"""Class folders without train/ and val/: 80 % of each class are trained on, the rest evaluated, as Ultralytics splits.

Ultralytics copies the images into a folder beside the person's own (`split_classify_dataset`). Here the split is a
folder of links in the cache, to the same images; a test compares. Other images, another folder.
"""

from __future__ import annotations

import hashlib
import os
import random
import shlex
from collections.abc import Iterator
from pathlib import Path

from yoloscale.datasets.file_kinds import is_image
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.locks import build_once
from yoloscale.system.remarks import Say

TRAIN_SHARE = 0.8
VERSION = 1  # of the rule: another number, another folder

_SPLITS = ("train", "val", "validation", "valid", "test")


def is_unsplit(root: Path) -> bool:
    """Whether a folder is one of class folders with nothing that splits them."""
    return root.is_dir() and not any((root / name).is_dir() for name in _SPLITS) and bool(_classes(root))


def locate(root: Path, cache: Path) -> Path:
    """The folder with train/ and val/ that a worker opens; it may not exist yet."""
    return _target(root, _images(root), cache)


def prepare(root: Path, cache: Path, say: Say) -> Path:
    """Split the images of each class; return what `locate` returns. Raises ConfigError for what is no split."""
    images = _images(root)
    if splits := _splits_in_capitals(images):
        found = f"{root} holds {', '.join(f'{name}/' for name in splits)}"
        moves = (f"mv {shlex.quote(str(root / name))} {shlex.quote(str(root / name.lower()))}" for name in splits)
        why = "they would be classes, as a split is written small"
        raise ConfigError(Problem("data", f"{found}: {why}", " && ".join(moves)))
    if len(images) < 2:
        only = next(iter(images))
        inner = root / only
        nested = inner.is_dir() and ((inner / "train").is_dir() or len(_classes(inner)) > 1)
        own = f"put the images of each class into a folder of its own in {root}"
        boxes = "; for a dataset with boxes take a detection model (model=yolo26n)" if only == "images" else ""
        found = f"{root} holds one folder with images, {only}/: that makes one class"
        raise ConfigError(Problem("data", found, f"{f'write data={inner}' if nested else own}{boxes}"))
    target = _target(root, images, cache)
    count = sum(map(len, images.values()))
    trained = sum(_trained(files) for files in images.values())
    say(
        f"{root} has no train/ and val/: as Ultralytics splits it, {trained} of {count} images are trained on and "
        f"{count - trained} evaluated, by links in {target}"
    )

    def build(partial: Path) -> None:
        for kind, files in images.items():
            for number, relative in enumerate(shuffled(files)):
                split = "train" if number < _trained(files) else "val"
                link = partial / split / kind / relative
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(root.resolve() / kind / relative)
            for split in ("train", "val"):
                (partial / split / kind).mkdir(parents=True, exist_ok=True)

    return build_once(target, build)


def outlook(root: Path, cache: Path) -> str:
    """What `prepare` would do, for a dry run."""
    return f"{root} has no train/ and val/: it would be split, by links in {cache / 'splits'}"


def shuffled(files: list[Path]) -> list[Path]:
    """The images of a class in the order of which the first are trained on."""
    order = sorted(files)
    random.Random(0).shuffle(order)  # Ultralytics' own generator and seed
    return order


def _trained(files: list[Path]) -> int:
    return int(len(files) * TRAIN_SHARE)


def _classes(root: Path) -> list[Path]:
    return [folder for folder in _folders(root) if any(True for _ in _images_of(folder))]


def _images(root: Path) -> dict[str, list[Path]]:
    """Images by class, relative to the folder of the class."""
    return {folder.name: images for folder in _folders(root) if (images := list(_images_of(folder)))}


def _folders(root: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in os.scandir(root) if entry.is_dir())


def _images_of(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name).relative_to(folder) for name in names if is_image(name))


def _target(root: Path, images: dict[str, list[Path]], cache: Path) -> Path:
    digest = hashlib.sha256(f"{VERSION}\0{root.resolve()}".encode("utf-8", "surrogateescape"))
    for kind, files in images.items():
        digest.update("".join(f"\0{kind}/{file}" for file in sorted(files)).encode("utf-8", "surrogateescape"))
    return cache / "splits" / f"{root.resolve().name}-{digest.hexdigest()[:12]}"


def _splits_in_capitals(images: dict[str, list[Path]]) -> list[str]:
    """Folders that are called as splits, unless they are classes among others: a train is a vehicle, too."""
    named = [name for name in images if name.lower() in _SPLITS]
    hold_classes = any(all(len(file.parts) > 1 for file in images[name]) for name in named)
    return named if len(named) == len(images) or hold_classes else []
