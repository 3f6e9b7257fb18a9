"""Ultralytics' own save, called on the state of a run of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars  # noqa: F401 - Ultralytics reads results.csv with it; its import sets a variable
import torch

from yoloscale.yolo.native_save import NativeSave


def test_it_writes_what_yolo_train_writes(parts_of: Callable[..., Any], tmp_path: Path) -> None:
    parts = parts_of("detect")
    stepper, folder = parts.stepper, tmp_path / "native"
    before = dict(vars(parts.trainer))
    stepper.average.updates = 7
    save = NativeSave(parts.trainer, stepper, folder)
    save(best=False)
    assert [path.name for path in folder.iterdir()] == ["last.pt"]
    assert save.file_bytes == (folder / "last.pt").stat().st_size
    save(best=True)
    assert sorted(path.name for path in folder.iterdir()) == ["best.pt", "last.pt"]
    content = torch.load(folder / "last.pt", weights_only=False)
    assert content["updates"] == 7
    assert next(content["ema"].parameters()).dtype is torch.float16
    assert set(content["optimizer"]) == {"state", "param_groups"}
    assert vars(parts.trainer) == before
