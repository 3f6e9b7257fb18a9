"""Append-only JSON lines: a line is whole or absent, whoever else appends, and whenever the writer dies."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
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
