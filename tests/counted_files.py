"""What a program asks of the file system, counted; and sizes as an NFS client knows them, which may be old ones."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, stale: Mapping[Path, int] = {}) -> Iterator[Counter[str]]:
    """Count "open", "stat" and "list". The sizes of `stale` files are those given, until somebody opens them."""
    count, (real_open, real_stat, real_list) = Counter[str](), (io.open, os.stat, os.scandir)
    opened_since = set[Path]()

    def opened(file: Any, *arguments: Any, **named: Any) -> Any:
        count["open"] += 1
        opened_since.add(Path(file))
        return real_open(file, *arguments, **named)

    def asked(path: Any, **named: Any) -> os.stat_result:
        count["stat"] += 1
        told = list(real_stat(path, **named))
        told[6] = stale[Path(path)] if Path(path) in {*stale} - opened_since else told[6]
        return os.stat_result(told)

    def listed(path: Any) -> Any:
        count["list"] += 1
        return real_list(path)

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", opened)
        patch.setattr(os, "stat", asked)
        patch.setattr(os, "scandir", listed)
        yield count
