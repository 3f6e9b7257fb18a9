"""Building the data sets of a task: signs of life, however long it lasts; one order of images on all ranks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from tests import mixed_images

from yoloscale.config.schema import DataConfig
from yoloscale.distributed.heartbeat import HEARTBEAT, Phase


@pytest.mark.parametrize("task", ["detect", "classify", "depth"])
def test_the_scan_of_labels_and_the_look_at_all_files_are_signs_of_life(
    parts_of: Callable[..., Any], cache: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """With a label cache one for each set's look at its files; without it the scan and another look, too."""
    from ultralytics.data import dataset

    from yoloscale.yolo import datasets

    parts, before = parts_of(task), (dataset.TQDM, dataset.get_hash)
    beats: list[Phase] = []
    monkeypatch.setattr(HEARTBEAT, "at", beats.append)
    datasets.build(parts.trainer)
    cached = len(beats)
    for file in cache.rglob("*.cache"):
        file.unlink()
    beats.clear()
    datasets.build(parts.trainer)
    assert cached >= 2
    assert len(beats) >= cached + 2
    assert {beat.name for beat in beats} == {"setting up"}
    assert (dataset.TQDM, dataset.get_hash) == before


def test_equal_ratios_have_the_order_of_rank_0_also_where_numpy_sorts_otherwise(
    parts_of: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on nodes of which one has AVX-512 and the other not."""
    from yoloscale.yolo import datasets

    source = mixed_images.render(tmp_path / "data", train=8, val=25)
    parts = parts_of("detect", data=DataConfig(name="mixed", source=str(source)), imgsz=128)
    there, here = (datasets.build(parts.trainer)[1] for _ in range(2))
    shapes = {str(file): cv2.imread(str(file)).shape for file in there.im_files}
    otherwise = sorted(
        range(25), key=lambda index: (shapes[here.im_files[index]][0] / shapes[here.im_files[index]][1], -index)
    )
    for name in ("im_files", "labels", "npy_files"):
        setattr(here, name, [getattr(here, name)[index] for index in otherwise])
    assert here.im_files != there.im_files
    assert [shapes[file] for file in here.im_files] == [shapes[file] for file in there.im_files]
    by_name = sorted(there.im_files)
    monkeypatch.setattr(datasets.group, "broadcast_object", lambda _: [by_name.index(file) for file in there.im_files])
    datasets.follow_first_rank(here)
    assert here.im_files == there.im_files
    assert [label["im_file"] for label in here.labels] == here.im_files
    assert [str(file.with_suffix(".png")) for file in here.npy_files] == here.im_files
