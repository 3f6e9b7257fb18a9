"""Depth models: the output scale that Ultralytics fits on the validation set after training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader
from ultralytics.models.yolo.depth.calibrate import calibrate_checkpoint

from yoloscale.yolo.evaluation_pass import BATCH


def calibrate(weights: Path, dataset: Any, trainer: Any) -> None:
    """Fit the scale and write it into a published `.pt`, whole or not at all. Rank 0 only.

    Ultralytics keeps a scale only if it helps on held-out validation images, so this never makes the weights worse
    by its own measure.
    """
    beside = weights.with_name(f".{weights.stem}.calibrating.pt")
    shutil.copyfile(weights, beside)
    loader: DataLoader[Any] = DataLoader(dataset, batch_size=BATCH, collate_fn=dataset.collate_fn)
    try:
        calibrate_checkpoint(beside, loader, trainer.device, max_depth=trainer.data.get("max_depth") or 100.0)
        beside.replace(weights)
    finally:
        beside.unlink(missing_ok=True)
