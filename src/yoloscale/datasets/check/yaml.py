"""A dataset YAML, read and checked as Ultralytics' `check_det_dataset` does, without downloading anything."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from yoloscale.config.schema import Config, LabelKind, Task, ValConfig
from yoloscale.datasets.check import keypoints
from yoloscale.datasets.check import names as check_names
from yoloscale.datasets.places import exists
from yoloscale.datasets.yaml_marks import MarkedYaml, load, read_text
from yoloscale.datasets.yaml_syntax import problem_of_content, problem_of_error
from yoloscale.errors import ConfigError, Problem

_SPLITS = ("train", "val", "test", "minival")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "path": (str,),
    "train": (str, list),
    "val": (str, list),
    "test": (str, list),
    "kpt_shape": (list,),
    "flip_idx": (list,),
}
_OTHER_WORDS = {
    "train": ("training", "trainset", "train_path", "train_images"),
    "val": ("valid", "validate", "vali", "valset", "val_path", "val_images", "eval", "dev"),
    "test": ("testing", "tests", "testset", "test_path", "test_images"),
}
_KINDS = {"int": "a number", "float": "a number", "dict": "a mapping", "list": "a list"}
_IGNORED = (None, "ignore_label")


@dataclass(frozen=True)
class Reads:
    """What a run reads of a dataset YAML; the rest is checked only where it would stop Ultralytics all the same."""

    task: Task = Task.detect
    split: str = "val"  # that is evaluated
    single_cls: bool = False  # no class names then
    flips: bool = True  # images are mirrored
    trains: bool = True  # the images of `train` are read, too

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits whose images are read."""
        return tuple(dict.fromkeys(("train", self.split))) if self.trains else (self.split,)

    @classmethod
    def of(cls, config: Config | ValConfig, task: Task) -> Reads:
        """What a run of `config` reads."""
        if isinstance(config, ValConfig):
            return cls(task, config.split, bool(config.single_cls), flips=False, trains=False)
        return cls(task, config.split, bool(config.single_cls), config.fliplr > 0 or config.flipud > 0)


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
    marked: MarkedYaml  # what was read, with its lines
    label_mapping: dict[int, int] = field(default_factory=dict)
    download: str | None = None
    remarks: tuple[str, ...] = ()  # what is taken otherwise than it is written

    def missing(self, *splits: str) -> list[Path]:
        """Paths of the given splits that do not exist."""
        return [path for split in splits for path in self.splits.get(split, ()) if not exists(path)]


def read(file: Path, datasets_folder: Callable[[], Path], reads: Reads | None = None) -> DatasetYaml:
    """Read a dataset YAML. Raises ConfigError with everything that is wrong in what `reads` names.

    `datasets_folder` is asked only for a relative `path:` that is not below the working folder.
    """
    reads = reads or Reads()
    marked = _load(file)
    content = marked.content
    problems = [*_problems_of_splits(marked, reads), *_problems_of_types(marked), *check_names.problems(marked)]
    if not any(problem.key in ("data.kpt_shape", "data.flip_idx") for problem in problems):
        problems += keypoints.problems(marked, reads.task, reads.flips)
    mapping = dict[int, int]()
    if reads.task.label_kind is LabelKind.masks:
        try:
            mapping = _label_mapping(content.get("label_mapping") or {})
        except (TypeError, ValueError, AttributeError):
            found = f"{marked.place('label_mapping')}: is {content['label_mapping']!r}"
            example = "label_mapping: {0: 0, 7: 1, 255: ignore_label}"
            instead = f"write value of the mask: index of the class, as in {example}"
            problems.append(Problem("data.label_mapping", found, instead))
    if problems:
        raise ConfigError(problems)
    root = Path(content["path"]) if content.get("path") else file.parent
    if not exists(root) and not root.is_absolute():
        root = datasets_folder() / root
    root = root.resolve()
    masks = content.get("masks_dir") or ("masks" if (root / "masks").is_dir() else None)
    shape = content.get("kpt_shape")
    return DatasetYaml(
        file=file,
        root=root,
        splits={split: _paths(root, content[split]) for split in _SPLITS if content.get(split)},
        names=check_names.names_of(content),
        kpt_shape=(shape[0], shape[1]) if shape else None,
        masks_dir=str(masks) if masks else None,
        depth_scale=content.get("depth_scale", 1000),
        label_mapping=mapping,
        download=content.get("download"),
        marked=marked,
        remarks=_remarks(marked, reads),
    )


def _load(file: Path) -> MarkedYaml:
    try:
        text = read_text(file)
    except OSError as error:
        instead = "write a readable dataset YAML, or one that comes with Ultralytics (coco8)"
        raise ConfigError(Problem("data", f"{file} cannot be read ({error.strerror})", instead)) from error
    try:
        marked = load(file, text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(problem_of_error(file, text, error)) from error
    if not isinstance(marked, MarkedYaml):
        raise ConfigError(problem_of_content(file, text, marked))
    if not marked.content:
        instead = "write train:, val: and names:, each on a line"
        raise ConfigError(Problem("data", f"{file} holds nothing", instead))
    content = marked.content
    if "val" not in content and "validation" in content:  # an older spelling that Ultralytics takes
        content["val"] = content["validation"]
    return marked


def _problems_of_splits(marked: MarkedYaml, reads: Reads) -> list[Problem]:
    """Ultralytics wants the keys train and val in every YAML, and values for what it reads."""
    result = []
    for split in dict.fromkeys(("train", "val", reads.split)):
        is_read = split in reads.splits
        if marked.content.get(split) or (split in marked.content and not is_read):
            continue
        if split in marked.content:
            is_older = split == "val" and marked.node("val") is None
            found = f"{marked.place('validation' if is_older else split)}: is empty"
        else:
            found = f"missing in {marked.file}"
        result.append(Problem(f"data.{split}", found, _line_of_split(marked, split, is_read)))
    return result


def _line_of_split(marked: MarkedYaml, split: str, is_read: bool) -> str:
    keys = [key for key in marked.content if isinstance(key, str) and key not in _SPLITS]
    others = _OTHER_WORDS.get(split, ())
    near = [key for key in keys if key.lower().strip() in (split, *others)] or difflib.get_close_matches(split, keys, 1)
    if near:
        return f"write {split}: in line {marked.place(near[0]).rpartition(':')[2]}, which says {near[0]}:"
    if not is_read:
        return f"add a line {split}: (it may be empty, as this run does not evaluate it; Ultralytics wants the key)"
    instead = f"add a line {split}: images/{split} (a folder of images, or a .txt file that lists them)"
    if split == "val" and isinstance(train := marked.content.get("train"), str):
        return f"{instead}; with no images of its own val: {train} evaluates on those that are trained"
    return instead


def _problems_of_types(marked: MarkedYaml) -> list[Problem]:
    result = []
    for key, types in _TYPES.items():
        value, place = marked.content.get(key), marked.place(key)
        if value is not None and not isinstance(value, types):
            kinds = " or ".join({"str": "text", "list": "a list"}[kind.__name__] for kind in types)
            kind = _KINDS.get(type(value).__name__, type(value).__name__)
            single = str in types and not isinstance(value, (list, dict))
            instead = f"write {kinds}{f'; in quotes, {str(value)!r}, it is text' if single else ''}"
            if types == (list,) and isinstance(value, str) and (numbers := re.findall(r"\d+", value)):
                instead = f"write {key}: [{', '.join(numbers)}]"
            result.append(Problem(f"data.{key}", f"{place}: is {value!r} ({kind})", instead))
        elif key in _SPLITS and isinstance(value, list):
            wrong = next((index for index, item in enumerate(value) if not isinstance(item, str)), None)
            if wrong is not None:
                found = f"{marked.place(key, wrong)}: has the entry {value[wrong]!r}, which is no text"
                result.append(Problem(f"data.{key}", found, "write the path of a folder or of a list of images"))
    return result


def _remarks(marked: MarkedYaml, reads: Reads) -> tuple[str, ...]:
    result = [
        f"{marked.file}:{each.last_line}: {each.key}: again; line {each.first_line} with the same key is not used"
        for each in marked.repeated
        if not each.mapping
    ]
    if not reads.single_cls:
        result += check_names.remarks(marked)
    return (*result, *keypoints.remarks(marked, reads.task, reads.flips))


def _paths(root: Path, entry: str | list[str]) -> tuple[Path, ...]:
    if isinstance(entry, list):
        return tuple((root / item).resolve() for item in entry)
    path = (root / entry).resolve()
    if not exists(path) and entry.startswith("../"):  # as Ultralytics: written for another place of the YAML
        path = (root / entry[3:]).resolve()
    return (path,)


def _label_mapping(mapping: dict[Any, Any]) -> dict[int, int]:
    """Mask values to class indices; 255 is ignored."""
    return {int(key): 255 if value in _IGNORED else int(value) for key, value in mapping.items()}
