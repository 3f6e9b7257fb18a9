"""`python -m yoloscale.yolo.untrained ARCHITECTURE.yaml FILE.pt`: a model with random weights, the same each time.

For what does not depend on the weights, as speed: it needs no download.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from ultralytics.models import YOLO

SEED = 0


def write_untrained(architecture: str, to: Path) -> None:
    """Write a plain Ultralytics checkpoint of an architecture that was never trained."""
    torch.manual_seed(SEED)
    YOLO(architecture).save(to)


if __name__ == "__main__":
    write_untrained(sys.argv[1], Path(sys.argv[2]))
