"""A unit can be left between any two images, however many a batch takes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from yoloscale.manifest.table import Item
from yoloscale.worker.predict.units import Place, Stopped, predict_unit
from yoloscale.yolo.inference.prediction import Prediction
from yoloscale.yolo.inference.prepare import Prepared


def test_a_stop_is_seen_and_the_claim_kept_while_a_batch_fills(tmp_path: Path) -> None:
    taken: list[int] = []

    def images() -> Any:
        for index in range(100):
            taken.append(index)
            yield Item(index, "a"), Prepared(8, 8, (), (np.zeros((8, 8, 3), np.uint8),))

    def moved_on(count: int) -> None:
        assert count == 0
        if len(taken) == 3:
            raise Stopped

    predictor: Any = SimpleNamespace(batch=100, settings=SimpleNamespace(slice=None))
    with pytest.raises(Stopped):
        predict_unit(images(), predictor, Place(tmp_path, 0), moved_on)
    assert taken == [0, 1, 2]


def test_outputs_are_read_while_the_next_batch_goes_through_the_model(tmp_path: Path) -> None:
    """The results of the first batch wait for the second one to have been begun."""
    is_second, forwards, counts = threading.Event(), [], list[int]()

    def forward(images: list[Prepared]) -> Any:
        forwards.append(len(images))
        number = len(forwards)

        def results() -> list[Prediction]:
            if number == 1:
                assert is_second.wait(600)
            return [Prediction(image.height, image.width, scores=np.zeros(0)) for image in images]

        if number == 2:
            is_second.set()
        return SimpleNamespace(results=results)

    def images() -> Any:
        for index in range(7):
            yield Item(index, "a"), Prepared(index + 1, 8, (), (np.zeros((8, 8, 3), np.uint8),))

    predictor: Any = SimpleNamespace(batch=2, settings=SimpleNamespace(slice=None), forward=forward)
    with ThreadPoolExecutor(1) as reading:
        rows = predict_unit(images(), predictor, Place(tmp_path, 0), counts.append, reading)
    assert [(row.index, row.height) for row in rows] == [(index, index + 1) for index in range(7)]
    assert sum(counts) == 7
    assert forwards == [2, 2, 2, 1]
