"""model.json: what it keeps is read again, and another machine is told from the first one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from yoloscale.config.tasks import Task
from yoloscale.predictions import model
from yoloscale.predictions.model import Model

MACHINE = {"device": "cpu", "instructions": "AVX512", "tf32": False, "precision": "fp32"}
FIRST = Model(Task.pose, {0: "person"}, (64, 96), keypoints=(17, 3), settings={"conf": 0.1}, machine=MACHINE)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    model.write(tmp_path, FIRST)
    assert model.read(tmp_path) == FIRST


def test_another_machine_is_told() -> None:
    other = replace(FIRST, machine={**MACHINE, "instructions": "AVX2"})
    assert model.unlike(FIRST, other) == ["instructions: AVX2, was AVX512"]
    assert model.unlike(FIRST, FIRST) == []
    assert model.unlike(replace(FIRST, machine={}), other) == []
