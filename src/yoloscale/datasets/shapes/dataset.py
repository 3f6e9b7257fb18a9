"""The built-in dataset `data=shapes`: rendered at first use, in parallel, complete or absent, for every task."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from threading import Lock

import yaml

from yoloscale.config.schema import LabelKind, ShapesConfig, Task
from yoloscale.datasets.shapes.classes import data_yaml
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
    found = []
    for name in ("train_images", "val_images"):
        count = getattr(options, name)
        if count < 1:
            found.append(Problem(f"data.shapes.{name}", f"found {count}", "write 1 or more"))
    if options.image_size < _SMALLEST_IMAGE:
        instead = f"write {_SMALLEST_IMAGE} or more pixels"
        found.append(Problem("data.shapes.image_size", f"found {options.image_size}", instead))
    if options.seed < 0:
        found.append(Problem("data.shapes.seed", f"found {options.seed}", "write 0 or more"))
    return found


def render(options: ShapesConfig, task: Task, cache: Path, say: Callable[[str], None]) -> Path:
    """Render the dataset unless it is there; return what `source` returns. Raises ConfigError for bad options."""
    if found := problems(options):
        raise ConfigError(found)
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
    _run_workers(root, processes, _Progress(total, say))


def _run_workers(root: Path, processes: int, progress: _Progress) -> None:
    """Let worker k of n render every n-th image; RuntimeError with its last words if one fails. None outlives this."""
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_Worker(root, part, processes)) for part in range(processes)]
        with ThreadPoolExecutor(processes) as pool:
            try:
                for follower in as_completed([pool.submit(worker.follow, progress) for worker in workers]):
                    if error := follower.result():
                        raise RuntimeError(f"rendering the built-in dataset failed: {error}")
            finally:
                for worker in workers:
                    worker.kill()


class _Worker:
    """A process that renders. It ends by itself when this one dies: it watches its standard input close."""

    def __init__(self, root: Path, part: int, parts: int) -> None:
        command = [sys.executable, "-m", "yoloscale.datasets.shapes.worker", str(root), str(part), str(parts)]
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 — closed by __exit__
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, text=True
        )

    def follow(self, progress: _Progress) -> str:
        """Wait for its end; what it said on stderr if it failed, else an empty string."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            progress.add(int(line))
        code = self._process.wait()
        self._stderr.seek(0)
        return self._stderr.read().strip() or f"exit code {code}" if code else ""

    def kill(self) -> None:
        """End it, unless it has ended."""
        self._process.kill()

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process, self._stderr:  # waits, and closes the pipes
            pass


class _Progress:
    """Count images of several workers and say so at every tenth."""

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self._total, self._say = total, say
        self._done, self._said = 0, 0
        self._lock = Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            tenth = 10 * self._done // self._total
            if tenth > self._said and self._done < self._total:
                self._said = tenth
                self._say(f"rendered {self._done} of {self._total} images")
