"""Small states of a run, and what is stored of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from yoloscale.checkpoint.store import CheckpointStore


def state(step: int, size: int = 1000) -> dict[str, Any]:
    return {"step": step, "tensor": torch.full((size,), float(step)), "nested": {"list": [1, 2.5, None, "text"]}}


def folder_of(tmp_path: Path, step: int) -> Path:
    return tmp_path / "checkpoints" / f"step-{step:09d}"


def newest_step(checkpoints: CheckpointStore) -> int | None:
    stored, _ = checkpoints.newest()
    return stored.step if stored else None


def kept_steps(made: CheckpointStore) -> list[int]:
    return sorted(int(path.name.rsplit("-", 1)[1]) for path in made.candidates())


def truncate_state(folder: Path) -> None:
    os.truncate(folder / "state.pt", (folder / "state.pt").stat().st_size - 1)
