"""Files that are named in place of a dataset YAML: what they are, and the command that writes the YAML."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from yoloscale.datasets.check.images import IMAGE_SUFFIXES, list_images
from yoloscale.datasets.check.names import lines_of_file
from yoloscale.datasets.image_lists import is_image, lines_of
from yoloscale.datasets.places import find_tail, parts_of
from yoloscale.errors import Problem

_DARKNET = re.compile(r"^\s*(train|valid|val|names|classes|backup|eval)\s*=\s*(.*?)\s*$")
_NAMES_FILES = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt")
_UNTOLD = "write the path of a dataset YAML: a file with train:, val: and names:"


def problem_of_file(file: Path) -> Problem:
    """Why a file that is there is no dataset YAML, and what to write."""
    if file.name.lower().endswith((".yaml.txt", ".yml.txt")):
        named = file.with_suffix("")
        told = _existing(named) or _command("mv", "-n", file, named)
        return Problem("data", f"{file} is a YAML with .txt behind its name", told)
    if is_image(file.name, IMAGE_SUFFIXES):
        return Problem("data", f"{file} is an image", _UNTOLD)
    if file.suffix == ".pt":
        return Problem("data", f"{file} holds weights", f"write model={file}, and data= with a dataset YAML")
    text = _text(file)
    settings = {found[1]: found[2] for line in text.splitlines() if (found := _DARKNET.match(line))}
    if "train" in settings and ("names" in settings or "classes" in settings):
        return Problem(
            "data", f"{file} is a data file of Darknet", _write(file.with_suffix(".yaml"), _of_darknet(file, settings))
        )
    if _lists_images(file):
        given = {"train": str(file.absolute()), "val": str(file.absolute())}
        content: dict[str, object] = {**given, "names": _names_beside(file.parent)}
        told = _write(file.parent / "data.yaml", content, "; with a list of its own for val")
        return Problem("data", f"{file} is a list of images", told)
    if file.suffix == ".json" and '"annotations"' in text:
        instead = "from ultralytics.data.converter import convert_coco; convert_coco(labels_dir=…) writes YOLO's labels"
        return Problem("data", f"{file} holds annotations as COCO writes them", instead)
    if file.suffix in (".names", ".labels") or file.name in _NAMES_FILES:
        told = _write(file.parent / "data.yaml", {**_splits_of(file.parent), "names": lines_of_file(file)})
        return Problem("data", f"{file} holds the names of classes", told)
    return Problem("data", f"{file} is no dataset YAML", _UNTOLD)


def problem_of_folder(folder: Path) -> Problem:
    """Why a folder without a dataset YAML is no dataset yet, and what to write."""
    if any((folder / name).is_dir() and list_images([folder / name]) for name in ("images", "train", "val")):
        told = _write(folder / "data.yaml", {**_splits_of(folder), "names": _names_beside(folder)})
        return Problem("data", f"the folder {folder} holds no dataset YAML", told)
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
    known = {"names": names} if names else {"nc": int(count)} if count.isdigit() else {"names": ["name of class 0"]}
    return {"train": train, "val": str(place(evaluated)) if evaluated else train, **known}


def _splits_of(folder: Path) -> dict[str, str]:
    """Folders of images for train and val, by the layouts that exist; one folder for both where there is one only."""
    result = {}
    for split, words in (("train", ("train",)), ("val", ("val", "valid", "validation"))):
        layouts = [layout.format(word) for word in words for layout in ("images/{}", "{}/images", "{}")]
        result[split] = next((path for path in layouts if (folder / path).is_dir()), "images")
    return result


def _names_beside(folder: Path) -> list[str]:
    found = (lines_of_file(folder / name) for name in _NAMES_FILES if (folder / name).is_file())
    return next((names for names in found if names), ["name of class 0", "name of class 1"])


def _lists_images(file: Path) -> bool:
    try:
        return file.suffix == ".txt" and any(is_image(line.image, IMAGE_SUFFIXES) for line in lines_of(file))
    except (OSError, UnicodeDecodeError):
        return False


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="ignore") as opened:
            return opened.read(2**20)
    except OSError:
        return ""  # what is in it is not told then


def _existing(target: Path) -> str:
    """What to write if a YAML is there already, which no command may overwrite; else empty."""
    return f"write data={shlex.quote(str(target))}" if target.exists() else ""


def _write(target: Path, content: dict[str, object], more: str = "") -> str:
    """A shell command that writes a YAML, with `more` behind it; the YAML's path if it is there."""
    if told := _existing(target):
        return told
    names = content.get("names")
    text = yaml.safe_dump(content, default_flow_style=None, sort_keys=False, allow_unicode=True, width=2**20)
    assert names is None or isinstance(names, list)
    return f"printf '%s\\n' {' '.join(map(shlex.quote, text.splitlines()))} > {shlex.quote(str(target))}{more}"


def _command(*words: object) -> str:
    return shlex.join(str(word) for word in words)
