"""A batch goes through the model in one thread, and its results are read in another one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("detect", {}),
        ("detect", {"slice": 64}),
        *(pytest.param(task, {}, marks=pytest.mark.long) for task in ("segment", "pose", "semantic", "yolo11")),
    ],
)
def test_results_read_late_and_elsewhere_are_the_same(
    task: str, settings: dict[str, Any], weights_of: Callable[[str], Path], pictures: list[Path]
) -> None:
    from yoloscale.yolo.inference.pictures import decode
    from yoloscale.yolo.inference.predictor import Predictor
    from yoloscale.yolo.inference.settings import InferenceSettings

    predictor = Predictor(weights_of(task), InferenceSettings(conf=0.05, **settings), "cpu")
    images = [predictor.prepare(decode(path.read_bytes(), path.name)) for path in pictures]
    expected = [predictor.predict([image])[0] for image in images]
    pending = [predictor.forward([image]) for image in images]
    with ThreadPoolExecutor(1) as pool:
        answers = [pool.submit(each.results).result()[0] for each in reversed(pending)]
    assert all(one.equals(other) for one, other in zip(expected, reversed(answers), strict=True))
    assert any(not one.is_empty for one in expected)
    with pytest.raises(AssertionError, match="once"):
        pending[0].results()


def test_outputs_that_the_next_pass_fills_again_are_kept() -> None:
    import torch

    from yoloscale.yolo.inference.pending import Outputs

    buffers = [torch.zeros(3), [torch.zeros(2), torch.zeros(2)]]
    kept, lent = Outputs(buffers, None, is_reused=True), Outputs(buffers, None, is_reused=False)
    buffers[0].fill_(1)
    buffers[1][1].fill_(1)
    with kept as values:
        assert float(values[0].sum()) == float(values[1][1].sum()) == 0
    with lent as values:
        assert values[0] is buffers[0]
