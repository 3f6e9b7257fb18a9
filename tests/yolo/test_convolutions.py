from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.backends import cudnn

from yoloscale.config.schema import Config
from yoloscale.yolo.convolutions import is_tuned, untuned
from yoloscale.yolo.evaluation import UltralyticsEvaluation

CUDA = torch.device("cuda", 0)


def test_only_where_images_keep_their_size_and_results_may_differ() -> None:
    free = replace(Config(), deterministic=False)
    assert is_tuned(free, CUDA)
    assert not is_tuned(free, torch.device("cpu"))
    assert not is_tuned(Config(), CUDA)
    assert not is_tuned(replace(free, multi_scale=0.5), CUDA)


def test_an_evaluation_tunes_nothing_and_training_does_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cudnn, "benchmark", True)
    seen = []

    class Validator:
        args = SimpleNamespace(save_txt=False)
        run_callbacks = staticmethod(lambda event: None)

        def init_metrics(self, model: object) -> None:
            seen.append(cudnn.benchmark)
            raise InterruptedError

    evaluation = UltralyticsEvaluation.__new__(UltralyticsEvaluation)
    evaluation._trainer = SimpleNamespace()
    with pytest.raises(InterruptedError):
        evaluation._pass(Validator(), torch.nn.Identity(), with_loss=False)
    assert seen == [False]
    assert cudnn.benchmark
    with untuned():
        assert not cudnn.benchmark
