from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yoloscale.backends.base import JobRequest
from yoloscale.backends.check import validate
from yoloscale.config.compose.hydra import compose
from yoloscale.config.resolve import resolve
from yoloscale.system.machine import Machine

LOGIN_NODE = Machine(gpu_count=0, cpus=8, has_bf16=True)


def make_job(command: str, **fields: Any) -> JobRequest:
    """The job of a command line, as of a person `ada` whose folders are the same everywhere."""
    words = shlex.split(command)
    config = resolve(compose(words), LOGIN_NODE)
    assert validate(config, LOGIN_NODE) == []
    name = config.name or "yolo26n-shapes"
    home = Path("/home/ada")
    known: dict[str, Any] = {
        "cluster": config.cluster,
        "name": name,
        "folder": home / "parts" / "runs" / name,
        "cache": home / ".cache" / "yoloscale",
        "working_folder": home / "parts",
        "typed": ("train", *words),
        "launcher_python": "/home/ada/venv/bin/python",
    }
    return JobRequest(**{**known, **fields})


@pytest.fixture
def job() -> Callable[..., JobRequest]:
    return make_job
