"""What is broken in a data set is skipped, counted and listed: the same on every rank, and on any number of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from yoloscale.config.schema import ShapesConfig, Task
from yoloscale.datasets.shapes import dataset

RUN = ("batch=8", "nbs=8", "epochs=1", "debug.trace=true", "cluster.threads=1", "workers=0", "amp=false", "val=false")


@pytest.fixture
def broken_data(tmp_path: Path, cache: Path) -> Path:
    """Rendered images, one of them cut short, one label line out of range."""
    rendered = dataset.render(ShapesConfig(64, 32, 160), Task.detect, cache, lambda _: None).parent
    copy = tmp_path / "broken"
    shutil.copytree(rendered, copy, ignore=shutil.ignore_patterns("*.cache"))
    described = yaml.safe_load((copy / "data.yaml").read_text())
    (copy / "data.yaml").write_text(yaml.safe_dump({**described, "path": str(copy)}))
    images = sorted((copy / "images" / "train").iterdir())
    images[3].write_bytes(images[3].read_bytes()[:100])
    label = copy / "labels" / "train" / f"{images[5].stem}.txt"
    label.write_text("0 0.5 0.5 1.7 0.2\n")
    return copy / "data.yaml"


@pytest.mark.long
def test_every_rank_skips_the_same(yoloscale: Any, model_of: Callable[[str], str], broken_data: Path) -> None:
    arguments = (*RUN, f"data={broken_data}", "cluster.exact_reduce=true", model_of("detect"))
    one, two = yoloscale.train_together({"one": (1, (*arguments, "batch=4")), "two": (2, arguments)})
    for done in (one, two):
        assert done.events("training_started")[0]["images"] == 62
    assert one.trace == two.trace
