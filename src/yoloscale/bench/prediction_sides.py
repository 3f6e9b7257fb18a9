"""Each side of `yoloscale bench predict`, run to its end and read: images per second in its steady state."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yoloscale.bench.pace import Span, steady_images_per_s
from yoloscale.bench.sides import SideFailed, measured_here, run_side, run_side_by_side
from yoloscale.config.schema import PredictConfig
from yoloscale.config.schema.bench_predict import LimitsConfig, PredictBenchConfig
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.variables import BENCH_FILE, BENCH_THREADS, THREADS


@dataclass(frozen=True)
class Pace:
    """One measurement of one side."""

    images_per_s: float  # while all its processes are at it
    total_s: float  # from the command to its end
    precision: str
    threads: int  # of one process
    processes: int
    batch: int | None = None  # None: ours on a CPU takes one by one


@dataclass(frozen=True)
class Limits:
    """How fast all ranks together could be at best."""

    decode_images_per_s: float  # reading, decoding and letterboxing alone
    forward_images_per_s: float  # the model and what follows it alone, on images that are there
    loaders: int  # threads of a rank that decode
    precision: str

    @property
    def slower(self) -> float:
        """What nothing can be faster than: the slower of both."""
        return min(self.decode_images_per_s, self.forward_images_per_s)

    @property
    def in_turn(self) -> float:
        """What the same CPUs can do that decode an image and then compute on it."""
        return 1 / (1 / self.decode_images_per_s + 1 / self.forward_images_per_s)


def measure_limits(config: PredictConfig, folder: Path, name: str, images: int) -> Limits:
    """Let ranks decode only, and then compute only; `images` each."""
    return Limits(**measured_here(PredictBenchConfig(**vars(config), bench=LimitsConfig(images)), folder, name))


def measure_yolo(argv: Sequence[str], folder: Path, name: str, skip: int, threads: int | None = None) -> Pace:
    """Run Ultralytics' command to its end.

    Args:
        skip: images that pass before it counts.
        threads: of its computations; None: its own choice.
    """
    log, measured = folder / f"{name}.log", folder / f"{name}.json"
    variables = {BENCH_FILE: str(measured), "YOLO_OFFLINE": "true"}
    started = run_side(argv, variables | ({} if threads is None else {BENCH_THREADS: str(threads)}), log)
    total_s = time.time() - started
    if not measured.exists():
        raise SideFailed(f"{name} did not say what it measured; its log is {log}")
    content: dict[str, Any] = json.loads(measured.read_text(encoding="utf-8"))
    spans = [Span(*span) for span in content.pop("spans")]
    return Pace(_steady([spans], skip, name), total_s, processes=1, **content)


def measure_ours(argvs: Mapping[str, Sequence[str]], folder: Path, ranks: int, skip: int) -> Pace:
    """Run commands of ours side by side to their ends; they have so many ranks together.

    Args:
        argvs: by the name of the run.
        skip: images of each rank that pass before it counts.
    """
    names = ", ".join(argvs)
    started = run_side_by_side({folder / f"{name}.log": argv for name, argv in argvs.items()}, {})
    total_s = time.time() - started
    runs = [RunDirectory(folder / name) for name in argvs]
    processes = [spans for run in runs for spans in _spans(run)]
    if len(processes) < ranks:
        raise SideFailed(f"{len(processes)} of {ranks} ranks of {names} had images: write a larger bench.images=")
    launch = json.loads(runs[0].launch_record(1).read_text(encoding="utf-8"))
    started_events = [e for run in runs for e in events.history(run) if isinstance(e, events.PredictionStarted)]
    return Pace(
        images_per_s=_steady(processes, skip, names),
        total_s=total_s,
        precision=started_events[0].precision,
        threads=int(launch["environment"][THREADS[0]]),
        processes=len(processes),
    )


def _spans(run: RunDirectory) -> list[list[Span]]:
    """The units of each rank, in the order of their ends."""
    by_rank = defaultdict[int, list[Span]](list)
    for event in events.history(run):
        if isinstance(event, events.UnitDone):
            by_rank[event.rank].append(Span(event.time - event.seconds, event.time, event.images))
    return [sorted(spans, key=lambda span: span.end) for spans in by_rank.values()]


def _steady(processes: Sequence[Sequence[Span]], skip: int, name: str) -> float:
    images_per_s = steady_images_per_s(processes, skip)
    if images_per_s is None:
        raise SideFailed(f"{name}: too few images to tell a pace: write a larger bench.images=")
    return images_per_s
