"""A small model that finds something in every image, once for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.yolo.inference.models import write_model


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("weights") / "model.pt", "yolo26n.yaml", imgsz=64)
