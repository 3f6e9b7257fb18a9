"""Whole trainings that differ in arguments without effect only: the same bits, said by one line."""

from __future__ import annotations

from typing import Any

import pytest

SMALL = (
    *("data.shapes.train_images=32", "data.shapes.val_images=16", "data.shapes.image_size=96", "data=shapes"),
    *("imgsz=64", "batch=16", "nbs=16", "workers=0", "cluster.threads=1", "debug.trace=true"),
)
INERT = {
    "optimizer=auto": (
        *("lr0=0.05", "momentum=0.6", "warmup_bias_lr=0.3", "warmup_momentum=0.2", "pose=3.0", "mosaic=0.2"),
        *("mixup=0.5", "patience=50", "erasing=0.1", "dropout=0.3", "mask_ratio=2", "angle=2.0"),
    ),
    "optimizer=AdamW": ("warmup_momentum=0.2", "dlog=3.0", "kobj=2.0", "cutmix=0.7", "copy_paste_mode=mixup"),
}


@pytest.mark.long
@pytest.mark.parametrize("optimizer", INERT)
def test_arguments_without_effect_train_the_same_bits(yoloscale: Any, optimizer: str) -> None:
    fixed = (*SMALL, optimizer, "epochs=2", "warmup_epochs=1")
    plain, changed, other = yoloscale.train_together(
        {
            "plain": (1, fixed),
            "changed": (1, (*fixed, *INERT[optimizer])),
            "other": (1, (*fixed, "weight_decay=0.1")),
        }
    )
    traces = [done.trace for done in (plain, changed, other)]
    assert len(traces[0]) == 4
    assert traces[0] == traces[1]
    assert traces[0] != traces[2]
    assert "no effect" in changed.output
    assert "no effect" not in plain.output
