"""`rect=true` with Ultralytics' real data sets: its shapes, its samples; the same on any ranks and workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests import mixed_images

from yoloscale.config.schema import DataConfig
from yoloscale.data.loader import MicroBatchLoader, SampleKey, SeededSamples
from yoloscale.data.order import SampleOrder
from yoloscale.data.seeds import derive, seed_host

Parts = Callable[..., Any]
IMAGES = 43  # of five shapes; batches of 8 leave three


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mixed_images.render(tmp_path_factory.mktemp("mixed"), train=IMAGES, val=5)


@pytest.fixture
def parts(parts_of: Parts, source: Path) -> Any:
    data = DataConfig(name="mixed", source=str(source))
    return parts_of("detect", rect=True, data=data, imgsz=128, mosaic=1.0, mixup=1.0)


def theirs(parts: Any, batch: int) -> Any:
    """The training set as `yolo train rect=True` has it."""
    from ultralytics.data.build import build_yolo_dataset

    trainer = parts.trainer
    args = copy(trainer.args)
    args.rect, args.cache = True, False
    return build_yolo_dataset(args, trainer.data["train"], batch, trainer.data, mode="train", stride=32)


@pytest.mark.parametrize("batch", [1, 4, 8, 43])
def test_shapes_are_those_of_ultralytics(parts: Any, batch: int) -> None:
    """For the images that it sorts to the front; what is left over is cut out at another place in each epoch."""
    whole = IMAGES // batch * batch
    expected = theirs(parts, batch).batch_shapes[: IMAGES // batch]
    ours = parts.samples.rectangles.sort(np.arange(IMAGES))[:whole].reshape(-1, batch)
    assert parts.samples.rectangles.shapes[ours].max(axis=1).tolist() == expected.tolist()


def test_samples_are_those_of_ultralytics(parts: Any) -> None:
    dataset = theirs(parts, 8)
    names = [Path(name).name for name in parts.samples.dataset.im_files]
    for place in range(0, IMAGES, 3):
        index = names.index(Path(dataset.im_files[place]).name)
        height, width = dataset.batch_shapes[dataset.batch[place]].tolist()
        seed_host(derive("sample", 0, 4, index))
        expected = dataset[place]
        sample = SeededSamples(parts.samples, 0)[SampleKey(4, index, False, (height, width))]
        assert sample["img"].shape[1:] == (height, width)
        for key in ("img", "bboxes", "cls"):
            assert torch.equal(sample[key], expected[key]), key


def micro_batches(parts: Any, order: SampleOrder, rank: int, workers: int, epochs: int) -> dict[Any, Any]:
    """All of one rank: images and boxes by (epoch, number of the micro-batch)."""
    steps = [order.step(epoch, index, rank) for epoch in range(epochs) for index in range(order.steps)]
    loader = MicroBatchLoader(parts.samples, order, rank, (0, 0), lambda epoch: epoch >= 1, workers, pin_memory=False)
    try:
        return {(step.epoch, micro.number): next(loader) for step in steps for micro in step.micro_batches}
    finally:
        loader.close()


def test_ranks_and_workers_change_no_pixel(parts: Any) -> None:
    """Planned as four ranks of two images: one and two ranks, with other workers, train on the same micro-batches."""
    rectangles = parts.samples.rectangles

    def of(ranks: int) -> SampleOrder:
        return SampleOrder(IMAGES, 2 * ranks, ranks, 4 // ranks, 0, planned_batch=8, rectangles=rectangles)

    expected = micro_batches(parts, of(1), 0, 0, 2)
    shapes = Counter(tuple(batch["img"].shape[2:]) for batch in expected.values())
    assert len(shapes) >= 4, shapes
    for ranks, workers in ((2, 1), (4, 2)):
        found: dict[Any, Any] = {}
        for rank in range(ranks):
            found |= micro_batches(parts, of(ranks), rank, workers, 2)
        assert found.keys() == expected.keys()
        for key, batch in found.items():
            for name in ("img", "bboxes", "cls", "batch_idx"):
                assert torch.equal(batch[name], expected[key][name]), (key, name)


def test_a_batch_is_trained_on_in_its_own_shape(parts: Any) -> None:
    step = parts.order.step(0, 0, 0)
    seen = []
    loader = MicroBatchLoader(parts.samples, parts.order, 0, (0, 0), lambda _: False, 0, pin_memory=False)
    outcome = parts.stepper(step, loader.__next__, lambda batch: seen.append(tuple(batch["img"].shape[2:])))
    assert outcome.applied
    assert seen == [micro.shape for micro in step.micro_batches]


@pytest.mark.parametrize("task", ["segment", "semantic", "obb"])
def test_other_tasks_take_part(parts_of: Parts, task: str) -> None:
    samples = parts_of(task, rect=True, copy_paste=1.0, copy_paste_mode="mixup").samples
    sample = samples.sample(3, False, (64, 96))
    assert sample["img"].shape[1:] == (64, 96)
    assert "rect_shape" not in sample


@pytest.mark.parametrize("task", ["classify", "rtdetr"])
def test_where_ultralytics_has_no_rectangles_they_are_left_out(parts_of: Parts, task: str) -> None:
    parts = parts_of(task, rect=True)
    assert parts.samples.rectangles is None
    assert parts.order.step(0, 0, 0).micro_batches[0].shape is None


def test_evaluation_does_not_ask_for_it(parts_of: Parts, source: Path) -> None:
    data = DataConfig(name="mixed", source=str(source))
    shapes = [
        parts_of("detect", rect=rect, data=data, imgsz=128).evaluation.dataset.batch_shapes.tolist()
        for rect in (False, True)
    ]
    assert shapes[0] == shapes[1]
