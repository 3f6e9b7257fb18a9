"""The built-in dataset `data=shapes`: rendered at first use, in parallel, complete or absent, for every task."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import yaml

from yoloscale.config.schema import LabelKind, ShapesConfig, Task
from yoloscale.datasets.shapes.classes import data_yaml
from yoloscale.datasets.shapes.processes import render_in_processes
from yoloscale.errors import ConfigError, Problem
from yoloscale.system import cpus
from yoloscale.system.locks import build_once

VERSION = 3  # of the pictures: another number, another folder
OPTIONS_FILE = "shapes.json"
_SMALLEST_IMAGE = 64  # pixels
_IMAGES_PER_PROCESS = 32  # starting a process costs as much as about this many images


def folder(options: ShapesConfig, task: Task, cache: Path) -> Path:
    """Where the rendered images of these options and this task lie; nothing is created."""
    content = json.dumps({"version": VERSION, "task": task.value, **asdict(options)}, sort_keys=True)
    return cache / "shapes" / hashlib.sha256(content.encode()).hexdigest()[:16]


def source(options: ShapesConfig, task: Task, cache: Path) -> Path:
    """What a worker opens: data.yaml, or the folder itself for classification; it may not exist yet."""
    root = folder(options, task, cache)
    return root if task.label_kind is LabelKind.folders else root / "data.yaml"


def problems(options: ShapesConfig) -> list[Problem]:
    """Options that cannot be rendered."""
    result = []
    for name in ("train_images", "val_images"):
        count = getattr(options, name)
        if count < 1:
            result.append(Problem(f"data.shapes.{name}", f"found {count}", "write 1 or more"))
    if options.image_size < _SMALLEST_IMAGE:
        instead = f"write {_SMALLEST_IMAGE} or more pixels"
        result.append(Problem("data.shapes.image_size", f"found {options.image_size}", instead))
    if options.seed < 0:
        result.append(Problem("data.shapes.seed", f"found {options.seed}", "write 0 or more"))
    return result


def render(options: ShapesConfig, task: Task, cache: Path, say: Callable[[str], None]) -> Path:
    """Render the dataset unless it is there; return what `source` returns. Raises ConfigError for bad options."""
    if wrong := problems(options):
        raise ConfigError(wrong)
    build_once(folder(options, task, cache), lambda partial: _render_into(partial, options, task, say))
    return source(options, task, cache)


def _render_into(root: Path, options: ShapesConfig, task: Task, say: Callable[[str], None]) -> None:
    if task.label_kind is not LabelKind.folders:
        (root / "data.yaml").write_text(yaml.safe_dump(data_yaml(task), sort_keys=False), encoding="utf-8")
    described = {"version": VERSION, "task": task.value, **asdict(options)}
    (root / OPTIONS_FILE).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    total = options.train_images + options.val_images
    processes = max(min(cpus.available(), total // _IMAGES_PER_PROCESS), 1)
    say(f"rendering {total} images of {options.image_size} px with {processes} processes (once; kept in the cache)")
    command = [sys.executable, "-m", "yoloscale.datasets.shapes.worker", str(root)]
    render_in_processes(command, processes, total, say)
