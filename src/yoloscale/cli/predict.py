"""`yoloscale predict [key=value …]`: every image of `source=` once, over all ranks, with a row for each."""

from __future__ import annotations

from yoloscale.cli import verb


def main(arguments: list[str]) -> int:
    """Predict; 0 finished, 1 failed, 2 bad config, 75 stopped on request, 130 interrupted."""
    return verb.main("predict", arguments)
