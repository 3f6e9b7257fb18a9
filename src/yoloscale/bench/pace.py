"""Images per second of processes that work side by side, while all of them are at it. Pure.

A process does one piece of work (a batch, a unit) after another. What it does before its first images are done, start,
loading, first calls, is not counted, nor is what one does alone after another has come to its end:

    process 0   |start |  piece  |  piece  |  piece  |  piece  |
    process 1   |start    |  piece  |  piece  |  piece  |
    counted                         ^-------------------^

A piece that reaches over a limit counts by the share of its time that lies within.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A piece of work of one process: when it began and ended, in seconds on one clock, and its images."""

    begin: float
    end: float
    images: int


def steady_images_per_s(processes: Sequence[Sequence[Span]], skip: int) -> float | None:
    """Images per second of all processes together; None where there is no time in which all of them are at it.

    Args:
        processes: the pieces of each, in the order of their ends.
        skip: images of each process that pass before it counts.
    """
    if not processes or not all(processes):
        return None
    begin, end = max(_begin(spans, skip) for spans in processes), min(spans[-1].end for spans in processes)
    if end <= begin:
        return None
    return sum(_images_within(span, begin, end) for spans in processes for span in spans) / (end - begin)


def _begin(spans: Sequence[Span], skip: int) -> float:
    """The end of the piece with which so many images are done."""
    done = 0
    for span in spans:
        done += span.images
        if done >= skip:
            return span.end
    return spans[-1].end


def _images_within(span: Span, begin: float, end: float) -> float:
    overlap = min(span.end, end) - max(span.begin, begin)
    if overlap <= 0:
        return 0.0
    return span.images * overlap / (span.end - span.begin)
