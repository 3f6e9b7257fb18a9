"""A classification dataset: a folder with train/CLASS/ and val/CLASS/, checked without opening torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from yoloscale.config.errors import Problem
from yoloscale.data.check_images import list_images

_VALIDATION = ("val", "validation", "valid")


def split_folders(root: Path, split: str) -> dict[str, Path]:
    """The folders that training and evaluation on `split` read, by the name of the split; absent ones are left out."""
    order = [*_VALIDATION, "test"] if split != "test" else ["test", *_VALIDATION]
    found = {"train": root / "train"} if (root / "train").is_dir() else {}
    evaluated = next((root / name for name in order if (root / name).is_dir()), None)
    return found if evaluated is None else {**found, split: evaluated}


def images_by_class(folder: Path) -> dict[str, list[str]]:
    """Image files of every class folder, in the order of class indices."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {path.name: list_images([path]) for path in folders}


def problems(root: Path, split: str, found: dict[str, dict[str, list[str]]]) -> list[Problem]:
    """What makes training impossible; `found` holds the images of each split by class."""
    layout = f"put images into {root}/train/CLASS/ and {root}/val/CLASS/"
    result = [
        Problem(f"data.{name}", f"{root} has no folder {name}/", layout)
        for name in ("train", split)
        if name not in found
    ]
    for name, classes in found.items():
        if not any(classes.values()):
            what = f"holds {_some(classes)} without images" if classes else "holds no class folders"
            result.append(Problem(f"data.{name}", f"{root / name} {what}", layout))
    if not result and (unknown := sorted(set(found[split]) - set(found["train"]))):
        instead = f"add them to train/, or take them out of {split}/"
        result.append(Problem(f"data.{split}", f"has classes that train/ lacks: {', '.join(unknown[:10])}", instead))
    return result


def notes(split: str, found: dict[str, dict[str, list[str]]]) -> list[str]:
    """What is odd, but no reason to stop."""
    result = []
    if absent := sorted(set(found["train"]) - set(found[split])):
        result.append(f"{split} has no images of {_some(absent)}")
    if empty := sorted(name for name, images in found["train"].items() if not images):
        result.append(f"train has no images of {_some(empty)}")
    return result


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
