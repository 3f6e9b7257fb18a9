"""Which models and datasets have a name: our group files, and what the installed Ultralytics brings along."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from yoloscale.config.check.families import content_of
from yoloscale.config.kinds import KINDS, TRAIN
from yoloscale.config.schema import Task

_HEADS = {head.lower(): task for task in Task for head in task.row.heads} | {"rtdetr": Task.detect}
_SCALE = re.compile(r"(\d+)([nslmx])(.+)?$")  # yolo12n-seg → yolo12-seg


@dataclass(frozen=True)
class Catalog:
    """Group options by group, and Ultralytics' own YAML files by lower-case stem."""

    groups: Mapping[str, tuple[str, ...]]
    architectures: Mapping[str, Path] = field(default_factory=dict)
    datasets: Mapping[str, Path] = field(default_factory=dict)
    shipped: frozenset[str] = frozenset()  # groups of ours: every config has an option of each
    kind: str = TRAIN  # of the runs whose configs these are

    def option(self, group: str, word: str) -> str | None:
        """The group option of this name, in any letter case."""
        return {option.lower(): option for option in self.groups.get(group, ())}.get(word.lower())

    def architecture(self, stem: str) -> Path | None:
        """Ultralytics' architecture YAML for a name with or without its scale letter (`yolo12n`)."""
        lower = stem.lower()
        return self.architectures.get(lower) or self.architectures.get(_SCALE.sub(r"\1\3", lower))


def read_catalog(folders: list[Path], kind: str = TRAIN) -> Catalog:
    """List the groups of some config folders, and the YAML files of the installed Ultralytics (not imported).

    The first folder, if there is any, is ours; of its groups a kind of run has those that its primary config names.
    """
    groups: dict[str, set[str]] = {}
    for folder in folders:
        for file in folder.glob("*/*.yaml"):
            groups.setdefault(file.parent.name, set()).add(file.stem)
    shipped = frozenset(file.parent.name for folder in folders[:1] for file in folder.glob("*/*.yaml"))
    if kind != TRAIN and folders:
        has = _groups_of(folders[0] / f"{KINDS[kind].primary}.yaml")
        groups = {group: options for group, options in groups.items() if group in has or group not in shipped}
        shipped &= has
    return Catalog(
        groups={group: tuple(sorted(options)) for group, options in groups.items() if group != "hydra"},
        architectures=installed("models/**/*.yaml"),
        datasets=installed("datasets/*.yaml"),
        shipped=shipped,
        kind=kind,
    )


def _groups_of(primary: Path) -> frozenset[str]:
    """The groups that a primary config has an option of."""
    entries = yaml.safe_load(primary.read_text(encoding="utf-8"))["defaults"]
    return frozenset(key.split()[-1] for entry in entries if isinstance(entry, dict) for key in entry)


def installed(pattern: str) -> dict[str, Path]:
    """The YAML files of the installed Ultralytics (not imported) below its cfg/, by lower-case stem."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        return {}
    return {file.stem.lower(): file for file in (Path(spec.origin).parent / "cfg").glob(pattern)}


@lru_cache(maxsize=1)
def argument_defaults() -> dict[str, Any]:
    """Every argument of the installed Ultralytics with its default; empty where it is not installed."""
    files = installed("default.yaml")
    return dict(yaml.safe_load(files["default"].read_text(encoding="utf-8"))) if files else {}


def task_of_architecture(file: Path) -> Task | None:
    """The task of an architecture YAML by its last module, as Ultralytics tells it; None if it cannot be told."""
    try:
        last = str(content_of(file)["head"][-1][-2]).lower()
    except (KeyError, IndexError, TypeError):
        return None  # whoever opens it later says what is wrong with it
    words = sorted(_HEADS, key=len, reverse=True)  # semanticsegment before segment
    return next((_HEADS[word] for word in words if word in last), None)


def task_of_name(stem: str) -> Task | None:
    """The task that a file name like `best-seg` tells; None without such a suffix."""
    return next((task for task in Task if task.row.suffix and task.row.suffix in stem), None)
