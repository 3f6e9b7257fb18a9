"""Numbers from the samples of a benchmark: medians, spreads and ratios. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from yoloscale.bench.sides import Sample

TARGETS = {"ours/yolo": 2.2, "ours/bare": 0.93}
WAYS = ("ddp", "flat")  # of adding up gradients in the yardstick


@dataclass(frozen=True)
class Figure:
    """The repeats of one measurement."""

    median: float
    low: float
    high: float
    values: tuple[float, ...]


def figure(values: Sequence[float]) -> Figure:
    """Median and spread of at least one value."""
    return Figure(median(values), min(values), max(values), tuple(values))


@dataclass(frozen=True)
class Repeat:
    """One round over all sides."""

    ours: Sample
    yolo: Sample
    bare: Mapping[str, Sample]  # by way


def speeds(repeats: Sequence[Repeat]) -> dict[str, Figure]:
    """Images per second of each side; `bare ddp` and `bare flat` are the yardstick's two ways."""
    return {
        "ours": figure([repeat.ours.images_per_s for repeat in repeats]),
        "yolo": figure([repeat.yolo.images_per_s for repeat in repeats]),
        **{f"bare {way}": figure([repeat.bare[way].images_per_s for repeat in repeats]) for way in WAYS},
    }


def ratios(repeats: Sequence[Repeat]) -> dict[str, Figure]:
    """Ours over the others, by repeat, so that a slow moment of the machine hits both; bare is its faster way."""
    by_side = speeds(repeats)
    fastest = max(WAYS, key=lambda way: by_side[f"bare {way}"].median)
    return {
        "ours/yolo": figure([repeat.ours.images_per_s / repeat.yolo.images_per_s for repeat in repeats]),
        "ours/bare": figure([repeat.ours.images_per_s / repeat.bare[fastest].images_per_s for repeat in repeats]),
    }


def first_steps(repeats: Sequence[Repeat]) -> dict[str, Figure]:
    """Seconds from the command to the end of the first optimiser step; a side that never told is left out."""
    sides = {"ours": [repeat.ours for repeat in repeats], "yolo": [repeat.yolo for repeat in repeats]}
    seconds = {
        side: [sample.first_step_s for sample in samples if sample.first_step_s is not None]
        for side, samples in sides.items()
    }
    return {side: figure(values) for side, values in seconds.items() if values}


def as_json(repeats: Sequence[Repeat], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, for `-o json`; `about` are the facts that no sample holds. Keys are stable."""
    last = repeats[-1]
    sides = {"ours": last.ours, "yolo": last.yolo, "bare": next(iter(last.bare.values()))}
    return {
        "images_per_s": {name: asdict(value) for name, value in speeds(repeats).items()},
        "ratios": {name: {**asdict(value), "target": TARGETS[name]} for name, value in ratios(repeats).items()},
        "first_step_s": {name: asdict(value) for name, value in first_steps(repeats).items()},
        "sides": {
            name: {"precision": side.precision, "threads": side.threads, "workers": side.workers}
            for name, side in sides.items()
        },
        **about,
    }
