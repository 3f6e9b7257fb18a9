"""What an exported file does in one way only is refused where another one is asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


def weights(**facts: Any) -> Any:
    """An opened file, as far as its facts go, that gives 300 candidates of an image."""
    import torch

    class Opened(SimpleNamespace):
        def __call__(self, images: torch.Tensor, settings: Any) -> list[torch.Tensor]:
            return [torch.zeros(len(images), 300, 6)]

    backend = {"metadata": {"imgsz": [640, 640], "args": {}}, "fp16": False, "dynamic": True, "batch": 4}
    backend |= facts.pop("backend", {})
    device = torch.device("cpu")
    usual = {"format": "onnx", "end2end": True, "batch": 1, "channels": 3, "imgsz": (32, 32), "takes_any_size": True}
    return Opened(backend=SimpleNamespace(**backend), device=device, **{**usual, **facts})


def refuse(settings: dict[str, Any], opened: Any) -> None:
    from yoloscale.yolo.inference.artefacts import refuse
    from yoloscale.yolo.inference.settings import InferenceSettings

    refuse(InferenceSettings(**settings), Path("folder/x.onnx"), opened)


@pytest.mark.parametrize(
    ("settings", "facts", "message"),
    [
        ({"max_det": 301}, {}, "max_det: 301, but x.onnx gives the 300 best"),
        ({"quantize": 16}, {}, "quantize: 16, but x.onnx was exported for fp32"),
        ({"quantize": 32}, {"backend": {"fp16": True}}, "quantize: 32, but x.onnx was exported for fp16"),
        ({"quantize": 16}, {"backend": {"metadata": {"args": {"quantize": 8}}}}, "quantize: 16, .* for int8"),
        ({"channels_last": True}, {}, "channels_last: true, but x.onnx is an exported artefact"),
        ({"channels_last": False}, {}, "channels_last: false"),
        ({"augment": True}, {}, "augment: true"),
        ({"nms": False}, {"end2end": False}, "nms: false"),
        ({"iou": 0.3}, {"backend": {"metadata": {"args": "{'nms': True}"}}}, "iou: 0.3, .* NMS in its graph"),
        ({"imgsz": 1312}, {"format": "engine", "imgsz": (1312, 1312)}, "imgsz: 1312×1312, but .* 1280×1280 at most"),
    ],
    ids=str,
)
def test_what_it_does_otherwise_is_refused(settings: dict[str, Any], facts: dict[str, Any], message: str) -> None:
    from yoloscale.errors import ConfigError

    with pytest.raises(ConfigError, match=message):
        refuse(settings, weights(**facts))


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        ({}, {}),
        ({"max_det": 5}, {}),
        ({"max_det": 1000}, {"end2end": False}),
        ({"quantize": 16}, {"backend": {"fp16": True}}),
        ({"quantize": 32}, {}),
        ({"quantize": 16}, {"backend": {"metadata": {"args": {"quantize": 16}}}}),
        ({"imgsz": 1280}, {"format": "engine", "imgsz": (1280, 1280)}),
        ({"imgsz": 1312}, {"format": "onnx", "imgsz": (1312, 1312)}),
    ],
    ids=str,
)
def test_what_it_does_is_taken(settings: dict[str, Any], facts: dict[str, Any]) -> None:
    refuse(settings, weights(**facts))


@pytest.mark.parametrize(
    ("kind", "is_dynamic", "device", "batch"),
    [
        ("engine", True, "cuda", 4),
        ("engine", False, "cuda", 4),
        ("onnx", True, "cuda", 16),
        ("onnx", True, "cpu", 1),
        ("onnx", False, "cpu", 4),
        ("pt", True, "cuda", 16),
    ],
)
def test_batch_is_no_more_than_the_file_takes(kind: str, is_dynamic: bool, device: str, batch: int) -> None:
    import torch

    from yoloscale.yolo.inference.settings import InferenceSettings
    from yoloscale.yolo.inference.weights import Weights

    opened = SimpleNamespace(format=kind, backend=SimpleNamespace(dynamic=is_dynamic, batch=4))
    opened.device = torch.device(device)
    assert Weights._batch(opened, InferenceSettings(batch=16)) == batch  # type: ignore[arg-type]
