"""Files that are named in place of a dataset YAML: what they are, and the command that writes the YAML."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import yaml

from yoloscale.datasets.check.images import list_images
from yoloscale.datasets.check.names import lines_of_file
from yoloscale.datasets.file_kinds import is_image
from yoloscale.datasets.image_lists import lines_of
from yoloscale.datasets.places import find_tail, parts_of
from yoloscale.errors import Problem

_DARKNET = re.compile(r"^\s*(train|valid|val|names|classes|backup|eval)\s*=\s*(.*?)\s*$")
_NAMES_FILES = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt")
_UNTOLD = "write the path of a dataset YAML: a file with train:, val: and names:"


def problem_of_file(file: Path) -> Problem:
    """Why a file that is there is no dataset YAML, and what to write."""
    if file.name.lower().endswith((".yaml.txt", ".yml.txt")):
        named = file.with_suffix("")
        command = _existing(named) or shlex.join(["mv", "-n", str(file), str(named)])
        return Problem("data", f"{file} is a YAML with .txt behind its name", command)
    if is_image(file.name):
        return Problem("data", f"{file} is an image", _UNTOLD)
    if file.suffix == ".pt":
        return Problem("data", f"{file} holds weights", f"write model={file}, and data= with a dataset YAML")
    text = ""  # of what cannot be read, what is in it is not told
    with contextlib.suppress(OSError), file.open(encoding="utf-8", errors="ignore") as opened:
        text = opened.read(2**20)
    settings = {match[1]: match[2] for line in text.splitlines() if (match := _DARKNET.match(line))}
    if "train" in settings and ("names" in settings or "classes" in settings):
        instead = _write(file.with_suffix(".yaml"), _of_darknet(file, settings))
        return Problem("data", f"{file} is a data file of Darknet", instead)
    if _lists_images(file):
        content = {"train": str(file.absolute()), "val": str(file.absolute()), "names": _names_beside(file.parent)}
        command = _write(file.parent / "data.yaml", content, "; with a list of its own for val")
        return Problem("data", f"{file} is a list of images", command)
    if file.suffix == ".json" and '"annotations"' in text:
        instead = "from ultralytics.data.converter import convert_coco; convert_coco(labels_dir=…) writes YOLO's labels"
        return Problem("data", f"{file} holds annotations as COCO writes them", instead)
    if file.suffix in (".names", ".labels") or file.name in _NAMES_FILES:
        command = _write(file.parent / "data.yaml", {**_splits_of(file.parent), "names": lines_of_file(file)})
        return Problem("data", f"{file} holds the names of classes", command)
    return Problem("data", f"{file} is no dataset YAML", _UNTOLD)


def problem_of_folder(folder: Path) -> Problem:
    """Why a folder without a dataset YAML is no dataset yet, and what to write."""
    if any((folder / name).is_dir() and list_images([folder / name]) for name in ("images", "train", "val")):
        instead = _write(folder / "data.yaml", {**_splits_of(folder), "names": _names_beside(folder)})
        return Problem("data", f"the folder {folder} holds no dataset YAML", instead)
    return Problem("data", f"the folder {folder} holds no dataset YAML", "write the path of the dataset YAML")


def _of_darknet(file: Path, settings: dict[str, str]) -> dict[str, object]:
    bases = (file.parent.absolute(), Path.cwd())  # Darknet's paths are below the folder where it was run

    def place(written: str) -> Path:
        tail = find_tail(parts_of(written), bases)
        return tail[0].joinpath(*parts_of(written)[tail[1] :]) if tail else Path(written)

    names = lines_of_file(place(settings["names"])) if "names" in settings else []
    train = str(place(settings["train"]))
    evaluated = settings.get("valid") or settings.get("val")
    count = settings.get("classes", "")
    classes = {"names": names} if names else {"nc": int(count)} if count.isdigit() else {"names": ["name of class 0"]}
    return {"train": train, "val": str(place(evaluated)) if evaluated else train, **classes}


def _splits_of(folder: Path) -> dict[str, str]:
    """Folders of images for train and val, by the layouts that exist; one folder for both where there is one only."""
    result = {}
    for split, words in (("train", ("train",)), ("val", ("val", "valid", "validation"))):
        layouts = [layout.format(word) for word in words for layout in ("images/{}", "{}/images", "{}")]
        result[split] = next((path for path in layouts if (folder / path).is_dir()), "images")
    return result


def _names_beside(folder: Path) -> list[str]:
    lists = (lines_of_file(folder / name) for name in _NAMES_FILES if (folder / name).is_file())
    return next((names for names in lists if names), ["name of class 0", "name of class 1"])


def _lists_images(file: Path) -> bool:
    try:
        return file.suffix == ".txt" and any(is_image(line.image) for line in lines_of(file))
    except (OSError, UnicodeDecodeError):
        return False


def _existing(target: Path) -> str:
    """What to write if a YAML is there already, which no command may overwrite; else empty."""
    return f"write data={shlex.quote(str(target))}" if target.exists() else ""


def _write(target: Path, content: Mapping[str, object], more: str = "") -> str:
    """A shell command that writes a YAML, with `more` behind it; the YAML's path if it is there."""
    if instead := _existing(target):
        return instead
    text = yaml.safe_dump(dict(content), default_flow_style=None, sort_keys=False, allow_unicode=True, width=2**20)
    return f"printf '%s\\n' {' '.join(map(shlex.quote, text.splitlines()))} > {shlex.quote(str(target))}{more}"
