"""Append-only JSON lines: a line is whole or absent, whoever else appends, and whenever the writer dies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Append one object as one line, by one write to a descriptor opened for appending."""
    line = json.dumps(record, separators=(",", ":"), default=str) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def drop(path: Path, is_dropped: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrite a file without some of its lines, whole or not at all. Only for files that nobody follows."""
    if not path.exists():
        return
    beside = path.with_name(f".{path.name}.writing")
    kept = [line for line in read(path) if not is_dropped(line)]
    beside.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in kept), encoding="utf-8")
    beside.replace(path)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a file; nothing if it does not exist. A torn last line is left out."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content.split(b"\n")[:-1]:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # torn by a full disk; the lines around it still count
            continue
