"""Rendered pictures with the size and the weight of photographs: what a benchmark of inference reads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from yoloscale.datasets.shapes.processes import render_in_processes
from yoloscale.system import cpus
from yoloscale.system.locks import build_once

VERSION = 1  # of the pictures: another number, another folder
WIDTH, HEIGHT = 1920, 1080  # pixels
_PER_PROCESS = 4  # starting a process costs as much as about this many


def photographs(count: int, cache: Path, say: Callable[[str], None]) -> list[Path]:
    """So many JPEG files of 1920 × 1080 pixels, 0.4 to 0.6 MB each, rendered unless they are in the cache."""
    root = cache / "photographs" / f"{VERSION}-{count}"
    build_once(root, lambda partial: _render_into(partial, count, say))
    return [root / name_of(index) for index in range(count)]


def name_of(index: int) -> str:
    """The file name of a picture."""
    return f"{index:06d}.jpg"


def _render_into(root: Path, count: int, say: Callable[[str], None]) -> None:
    processes = max(min(cpus.available(), count // _PER_PROCESS), 1)
    say(f"rendering {count} images of {WIDTH} × {HEIGHT} px with {processes} processes (once; kept in the cache)")
    command = [sys.executable, "-m", "yoloscale.datasets.shapes.photographs_worker", str(root), str(count)]
    render_in_processes(command, processes, count, say)
