"""A dataset YAML, read and checked as Ultralytics' `check_det_dataset` does, without downloading anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from yoloscale.config.errors import ConfigError, Problem

_SPLITS = ("train", "val", "test")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "path": (str,),
    "train": (str, list),
    "val": (str, list),
    "test": (str, list),
    "names": (list, dict),
    "kpt_shape": (list,),
    "flip_idx": (list,),
}


@dataclass(frozen=True)
class DatasetYaml:
    """What a dataset YAML says, with its paths resolved; whether they exist is another question."""

    file: Path
    root: Path
    splits: dict[str, tuple[Path, ...]]  # folders of images or text files that list them; only those that are given
    names: dict[int, str]  # 0 … n-1
    kpt_shape: tuple[int, int] | None
    masks_dir: str | None  # semantic masks; None: polygons in label files
    depth_scale: float
    label_mapping: dict[int, int] = field(default_factory=dict)
    download: str | None = None

    def missing(self, *splits: str) -> list[Path]:
        """Paths of the given splits that do not exist."""
        return [path for split in splits for path in self.splits.get(split, ()) if not path.exists()]


def read(file: Path, datasets_folder: Callable[[], Path]) -> DatasetYaml:
    """Read a dataset YAML. Raises ConfigError with everything that is wrong in it.

    `datasets_folder` is asked only for a relative `path:` that is not below the working folder.
    """
    content = _load(file)
    problems = [*_problems_of_keys(file, content), *_problems_of_names(file, content)]
    if problems:
        raise ConfigError(problems)
    root = _root(file, content.get("path"), datasets_folder)
    masks = content.get("masks_dir") or ("masks" if (root / "masks").is_dir() else None)
    shape = content.get("kpt_shape")
    return DatasetYaml(
        file=file,
        root=root,
        splits={split: _paths(root, content[split]) for split in _SPLITS if content.get(split)},
        names=_names(content),
        kpt_shape=(int(shape[0]), int(shape[1])) if shape else None,
        masks_dir=str(masks) if masks else None,
        depth_scale=content.get("depth_scale", 1000),
        label_mapping=_label_mapping(content.get("label_mapping") or {}),
        download=content.get("download"),
    )


def _load(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text(encoding="utf-8", errors="ignore"), Loader=_LOADER)
    except OSError as error:
        instead = "write a readable dataset YAML, or one that comes with Ultralytics (coco8)"
        raise ConfigError(Problem("data", f"{file} cannot be read ({error.strerror})", instead)) from error
    except yaml.YAMLError as error:
        where = str(getattr(error, "problem_mark", "")).strip().replace(f'in "{file}", ', "")
        found = f"{file} is no YAML: {getattr(error, 'problem', error)} {where}".strip()
        raise ConfigError(Problem("data", found, "mend the file")) from error
    if not isinstance(content, dict):
        found = f"{file} holds a {type(content).__name__}, not keys and values"
        raise ConfigError(Problem("data", found, "write path:, train:, val: and names:, each on a line"))
    if "val" not in content and "validation" in content:  # an older spelling that Ultralytics takes
        content["val"] = content["validation"]
    return content


def _problems_of_keys(file: Path, content: dict[str, Any]) -> list[Problem]:
    problems = []
    for split in ("train", "val"):
        if not content.get(split):
            instead = f"add a line {split}: images/{split} (a folder of images, or a .txt file that lists them)"
            problems.append(Problem(f"data.{split}", f"missing in {file}", instead))
    for key, types in _TYPES.items():
        if content.get(key) is not None and not isinstance(content[key], types):
            wanted = " or ".join({"str": "text", "dict": "mapping"}.get(kind.__name__, "list") for kind in types)
            found = f"is a {type(content[key]).__name__} in {file}"
            problems.append(Problem(f"data.{key}", found, f"write a {wanted}"))
    shape = content.get("kpt_shape")
    if isinstance(shape, list) and not (
        len(shape) == 2 and all(isinstance(n, int) for n in shape) and shape[1] in (2, 3)
    ):
        instead = "write [number of keypoints, 2 or 3], as in kpt_shape: [17, 3]"
        problems.append(Problem("data.kpt_shape", f"is {shape} in {file}", instead))
    elif isinstance(shape, list) and isinstance(flip := content.get("flip_idx"), list) and len(flip) != shape[0]:
        found = f"has {len(flip)} entries in {file}, for {shape[0]} keypoints"
        problems.append(Problem("data.flip_idx", found, f"write {shape[0]} indices, or leave the line out"))
    return problems


def _problems_of_names(file: Path, content: dict[str, Any]) -> list[Problem]:
    names, count = content.get("names"), content.get("nc")
    if names is None and count is None:
        return [Problem("data.names", f"missing in {file}", "list the classes: names: [cat, dog]")]
    if count is not None and (not isinstance(count, (int, float, str)) or not str(count).removesuffix(".0").isdigit()):
        return [Problem("data.nc", f"is {count!r} in {file}", "write the number of classes, or leave the line out")]
    if not isinstance(names, (list, dict)):
        return []  # absent, or reported with the other types
    if not names:
        return [Problem("data.names", f"is empty in {file}", "list the classes: names: [cat, dog]")]
    if count is not None and int(float(count)) != len(names):
        found = f"has {len(names)} entries in {file}, nc says {count}"
        return [Problem("data.names", found, "correct one, or leave nc out")]
    keys = [str(key) for key in names] if isinstance(names, dict) else [str(index) for index in range(len(names))]
    if sorted(keys, key=lambda key: (len(key), key)) != [str(index) for index in range(len(names))]:
        return [Problem("data.names", f"has the indices {', '.join(keys)} in {file}", f"write 0 … {len(names) - 1}")]
    return []


def _root(file: Path, path: str | None, datasets_folder: Callable[[], Path]) -> Path:
    root = Path(path) if path else file.parent
    if not root.exists() and not root.is_absolute():
        root = datasets_folder() / root
    return root.resolve()


def _paths(root: Path, given: str | list[str]) -> tuple[Path, ...]:
    if isinstance(given, list):
        return tuple((root / str(item)).resolve() for item in given)
    path = (root / given).resolve()
    if not path.exists() and given.startswith("../"):  # as Ultralytics: written for another place of the YAML
        path = (root / given[3:]).resolve()
    return (path,)


def _names(content: dict[str, Any]) -> dict[int, str]:
    names = content.get("names")
    if names is None:
        return {index: f"class_{index}" for index in range(int(float(content["nc"])))}
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return {int(key): str(name) for key, name in pairs}


def _label_mapping(mapping: dict[Any, Any]) -> dict[int, int]:
    """Mask values to class indices; 255 is ignored."""
    ignored = (None, "ignore_label")
    return {int(key): 255 if value in ignored else int(value) for key, value in mapping.items()}


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
