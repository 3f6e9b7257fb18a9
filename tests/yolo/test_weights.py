"""Published weights are what Ultralytics expects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from yoloscale.yolo import weights


@pytest.mark.parametrize("task", ["detect", "classify"])
def test_ultralytics_loads_and_predicts(parts_of: Callable[..., Any], tmp_path: Path, task: str) -> None:
    from ultralytics import YOLO

    parts = parts_of(task)
    path = tmp_path / "weights" / "best.pt"
    weights.PublishedCopy(parts.stepper.average.module, vars(parts.trainer.args)).fill({"fitness": 0.5}, 3)(path)
    assert [file.name for file in path.parent.iterdir()] == ["best.pt"]
    model = YOLO(str(path))
    assert model.task == task
    assert model.names == parts.learner.module.names
    assert len(model.predict(np.zeros((96, 96, 3), np.uint8), imgsz=96, verbose=False, device="cpu")) == 1
    published = model.model.state_dict()
    for name, value in parts.stepper.average.module.state_dict().items():
        if name in published and value.is_floating_point() and published[name].shape == value.shape:
            torch.testing.assert_close(published[name].float(), value.half().float())


def test_saving_leaves_the_model_as_it_is(parts_of: Callable[..., Any], tmp_path: Path) -> None:
    module = parts_of("detect").stepper.average.module
    before = {name: value.clone() for name, value in module.state_dict().items()}
    weights.PublishedCopy(module, {}).fill({}, 1)(tmp_path / "a.pt")
    after = module.state_dict()
    assert all(after[name].dtype is value.dtype and torch.equal(after[name], value) for name, value in before.items())


def test_what_overflows_in_half_precision_stays_finite(parts_of: Callable[..., Any], tmp_path: Path) -> None:
    module = parts_of("detect").stepper.average.module
    with torch.no_grad():
        next(module.parameters()).fill_(1e6)
    weights.PublishedCopy(module, {}).fill({}, 1)(tmp_path / "a.pt")
    content = torch.load(tmp_path / "a.pt", weights_only=False)
    assert all(torch.isfinite(value).all() for value in content["model"].state_dict().values())


def test_the_file_names_no_folder_of_the_run(parts_of: Callable[..., Any], tmp_path: Path) -> None:
    parts = parts_of("detect")
    weights.PublishedCopy(parts.stepper.average.module, vars(parts.trainer.args)).fill({}, 1)(tmp_path / "a.pt")
    arguments = torch.load(tmp_path / "a.pt", weights_only=False)["train_args"]
    assert str(tmp_path / "run") not in str(arguments)
