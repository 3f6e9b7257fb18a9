"""How far the trackers of a run have been told, on disk: no later start tells them the same again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from yoloscale.system.files import write_whole


@dataclass
class Marks:
    """The last optimiser step and the last epoch (from 1) that trackers were told of; 0: none yet.

    `measured`: the last epoch whose metrics they were told of after it.
    """

    step: int = 0
    epoch: int = 0
    measured: int = 0

    def passes(self, step: int, epoch: int, *, is_epoch: bool) -> bool:
        """Whether this is news; if so it is taken note of."""
        is_news = epoch > self.epoch if is_epoch else step > self.step
        self.step = max(self.step, step)
        if is_epoch:
            self.epoch = max(self.epoch, epoch)
        return is_news

    def passes_measured(self, epoch: int) -> bool:
        """Whether the metrics of an epoch that was told without them are news; if so it is taken note of."""
        is_news = epoch >= self.epoch and epoch > self.measured
        self.measured = max(self.measured, epoch)
        return is_news


def read(path: Path) -> Marks:
    """What is on disk; without a file, or with a damaged one, nothing was told."""
    try:
        content = json.loads(path.read_text())
        return Marks(int(content["step"]), int(content["epoch"]), int(content.get("measured", 0)))
    except (OSError, ValueError, KeyError, TypeError):
        return Marks()


def write(path: Path, marks: Marks) -> None:
    """Replace the file as a whole."""
    path.parent.mkdir(exist_ok=True)
    write_whole(path, json.dumps(asdict(marks)) + "\n")
