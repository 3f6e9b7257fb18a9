"""The pictures that Ultralytics users expect in a run folder."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from ultralytics.utils.plotting import plot_results


def results(csv: Path) -> None:
    """results.png beside results.csv."""
    plot_results(file=str(csv))


def training_batch(trainer: Any, batch: dict[str, Any], number: int) -> None:
    """train_batch<number>.jpg: a preprocessed batch with its labels."""
    trainer.plot_training_samples({**batch, "img": batch["img"].float() / 255}, number)


def wait(timeout_s: float = 60.0) -> None:
    """Return when the pictures that Ultralytics draws in threads are on disk."""
    for thread in threading.enumerate():
        if "plot_images" in thread.name:
            thread.join(timeout_s)
