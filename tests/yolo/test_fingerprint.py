"""A data set's fingerprint tells contents apart, and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from yoloscale.yolo.fingerprint import digest

BOX = [0.5, 0.5, 0.1, 0.1]


def dataset(folder: str, *images: tuple[str, list[float]]) -> Any:
    labels = [
        {
            "im_file": f"{folder}/{name}.jpg",
            "shape": (96, 96),
            "cls": np.zeros((1, 1), np.float32),
            "bboxes": np.array([box], np.float32),
            "segments": [np.array([[0.1, 0.2]], np.float32)],
            "keypoints": None,
        }
        for name, box in images
    ]
    return SimpleNamespace(labels=labels, im_files=[label["im_file"] for label in labels])


def test_place_and_order_do_not_count() -> None:
    here = dataset("/a/images", ("x/1", BOX), ("y/2", BOX))
    assert digest(here) == digest(dataset("/elsewhere/data", ("y/2", BOX), ("x/1", BOX)))


def test_names_and_labels_do() -> None:
    found = [
        digest(dataset("/a", ("1", BOX), ("2", BOX))),
        digest(dataset("/a", ("1", BOX), ("3", BOX))),
        digest(dataset("/a", ("1", BOX), ("2", [0.5, 0.5, 0.1, 0.2]))),
        digest(dataset("/a", ("1", BOX))),
    ]
    assert len(set(found)) == len(found)


def test_classification() -> None:
    def folders(root: str, number: int) -> Any:
        return SimpleNamespace(
            samples=[[f"{root}/cat/1.jpg", 0, None, None], [f"{root}/dog/1.jpg", number, None, None]]
        )

    assert digest(folders("/a", 1)) == digest(folders("/b", 1))
    assert digest(folders("/a", 1)) != digest(folders("/a", 0))


def test_absolute_and_relative_names_may_be_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mixed = dataset(str(tmp_path), ("1", BOX), ("2", BOX))
    mixed.labels[1]["im_file"] = "2.jpg"
    assert digest(mixed) == digest(dataset("/a", ("1", BOX), ("2", BOX)))
