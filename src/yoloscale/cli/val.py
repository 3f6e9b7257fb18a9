"""`yoloscale val [key=value …]`: the metrics of weights on a dataset, over all ranks."""

from __future__ import annotations

from yoloscale.cli import verb


def main(arguments: list[str]) -> int:
    """Evaluate; 0 finished, 1 failed, 2 bad config, 75 stopped on request, 130 interrupted."""
    return verb.main("val", arguments)
