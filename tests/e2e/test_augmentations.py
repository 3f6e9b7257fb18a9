"""Albumentations' transforms, given in a file, in runs of several ranks with workers; needs the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.yolo.test_augmentations import needs_albumentations

STRONG = """
- GaussNoise: {p: 1.0}
- OneOf: {transforms: [{Blur: {p: 1.0}}, {ToGray: {p: 1.0}}], p: 0.7}
- HorizontalFlip: {p: 0.5}
"""
COMMON = (
    *("model=yolo26n.yaml", "nbs=32", "epochs=2", "imgsz=96", "amp=false", "val=false"),
    *("cluster.exact_reduce=true", "cluster.threads=1", "debug.trace=true"),
)


@pytest.mark.long
@needs_albumentations
def test_any_ranks_and_workers_see_the_same_images(yoloscale: Any, tmp_path: Path) -> None:
    (tmp_path / "strong.yaml").write_text(STRONG)
    common = (*COMMON, "augmentations=strong.yaml")
    one, two, none = yoloscale.train_together(
        {
            "one": (1, (*common, "batch=8", "workers=0")),
            "two": (2, (*common, "batch=16", "workers=2")),
            "none": (1, (*COMMON, "augmentations=[]", "batch=8", "workers=0")),
        }
    )
    assert len(one.trace) == 4
    assert two.trace == one.trace, "the losses, too, so the pixels"
    assert none.trace != one.trace
