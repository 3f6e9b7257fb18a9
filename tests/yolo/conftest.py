"""Real models and rendered data of every task, small, in one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yoloscale.config.schema import Config, Device, ShapesConfig, Task

SUFFIXES = {Task.detect: "", Task.segment: "-seg", Task.classify: "-cls", Task.semantic: "-sem"}
SHAPES = ShapesConfig(train_images=64, val_images=32, image_size=96)


@pytest.fixture
def config_of(cache: Path, small_rtdetr: Path) -> Callable[..., Config]:
    """A resolved config of a task (or "rtdetr") on rendered images that are there; keywords are its root keys."""

    def make(task: str, **arguments: Any) -> Config:
        from yoloscale.datasets.shapes import dataset

        config = Config(name="run", imgsz=96, batch=8, nbs=8, epochs=2, workers=0, amp=False, plots=False)
        config.model.task = Task.detect if task == "rtdetr" else Task(task)
        config.model.architecture = f"yolo26n{SUFFIXES.get(config.model.task, f'-{task}')}.yaml"
        if task == "rtdetr":
            config.model.architecture = str(small_rtdetr)
        config.data.shapes = SHAPES
        config.cluster.procs_per_node, config.cluster.device, config.cluster.backend = 1, Device.cpu, "gloo"
        config.cluster.threads = 1
        config.paths.cache = str(cache)
        for name, value in arguments.items():
            assert hasattr(config, name)
            setattr(config, name, value)
        dataset.render(SHAPES, config.model.task, cache, lambda _: None)
        return config

    return make


@pytest.fixture
def parts_of(config_of: Callable[..., Config], tmp_path: Path) -> Callable[..., Any]:
    """Everything a run of that config consists of, built as a rank builds it."""

    def build(task: str, **arguments: Any) -> Any:
        import torch

        from yoloscale.distributed.environment import Ranks
        from yoloscale.engine.stop_requests import StopRequests
        from yoloscale.runs.directory import RunDirectory
        from yoloscale.worker.train import parts

        run = RunDirectory(tmp_path / "run")
        run.path.mkdir(exist_ok=True)
        config = config_of(task, **arguments)
        torch.set_num_threads(1)
        return parts.build(config, run, Ranks(), torch.device("cpu"), None, StopRequests(), lambda _: None)

    return build
