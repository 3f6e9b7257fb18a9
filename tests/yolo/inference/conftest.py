"""One small model of each task and a few pictures, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.yolo.inference.models import SUFFIXES, write_model, write_pictures


@pytest.fixture(scope="package")
def weights_of(tmp_path_factory: pytest.TempPathFactory, small_rtdetr: Path) -> Callable[[str], Path]:
    """`weights_of(task)`: a `.pt`; also "rtdetr", and "yolo11" for a head without a branch that needs no NMS."""
    folder = tmp_path_factory.mktemp("weights")

    def make(task: str) -> Path:
        path = folder / f"{task}.pt"
        if not path.exists():
            architectures = {"rtdetr": str(small_rtdetr), "yolo11": "yolo11n.yaml"}
            write_model(path, architectures.get(task, f"yolo26n{SUFFIXES.get(task, '')}.yaml"))
        return path

    return make


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """PNG files of several shapes."""
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Any:
    """torch on one thread, as the ranks have it; so, too, where Ultralytics chooses a CPU and sets the number anew."""
    import torch
    from ultralytics.utils import torch_utils

    monkeypatch.setattr(torch_utils, "NUM_THREADS", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
