"""The results of a prediction: lines for the screen, and pictures in its folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from yoloscale.config.freeze import load_own
from yoloscale.config.locations import working_folder
from yoloscale.config.schema import PredictConfig
from yoloscale.predictions import model as model_file
from yoloscale.predictions.schema import Status
from yoloscale.predictions.summary import FAILURES
from yoloscale.report.prediction.figures import Figures, read_figures
from yoloscale.runs.directory import RunDirectory
from yoloscale.system import formatting
from yoloscale.system.formatting import counted, printable

MOST_CLASSES = 20  # lines
_MAX_CELL, _MAX_SOURCE = 32, 60  # characters


@dataclass(frozen=True)
class PredictionSummary:
    """What was found out about a prediction, the files written, and what could not be drawn."""

    run: RunDirectory
    figures: Figures
    pictures: tuple[Path, ...]
    warnings: tuple[str, ...] = ()


def summary(run: RunDirectory, *, pictures: bool = True) -> PredictionSummary:
    """Read a run that predicts, also while it goes on, and draw its pictures into its folder.

    A picture that cannot be drawn is a warning. Raises ConfigError before there is anything to read.
    """
    figures = read_figures(run)
    drawn, warnings = _draw_all(run, figures) if pictures else ([], [])
    return PredictionSummary(run, figures, tuple(drawn), tuple(warnings))


def text(report: PredictionSummary, *, every_class: bool = False) -> list[str]:
    """Counts by status, the classes, the first images that could not be predicted, what was slowest."""
    figures = report.figures
    so_far = "" if figures.is_whole else " so far"
    statuses = ", ".join(f"{count} {status}" for status, count in figures.statuses.items() if count)
    lines = [f"{report.run.name}: {counted(figures.images, 'image')}{so_far}: {statuses}"]
    lines += _classes(figures, len(figures.classes) if every_class else MOST_CLASSES)
    lines += _failures(figures)
    lines += _slow(report)
    return lines


def as_json(report: PredictionSummary) -> str:
    """For `-o json`; keys are stable."""
    content: dict[str, Any] = {"run": report.run.name, **asdict(report.figures)}
    content["images"], content["objects"] = report.figures.images, report.figures.objects
    content["files"] = [str(path) for path in report.pictures]
    return json.dumps(content, indent=1)


def _draw_all(run: RunDirectory, figures: Figures) -> tuple[list[Path], list[str]]:
    from yoloscale.report.pictures import histograms
    from yoloscale.report.prediction.sheet import draw_sheet

    base = working_folder(load_own(run.config, of=PredictConfig).origin)
    drawings: dict[str, Callable[[], Path | None]] = {
        "classes": partial(histograms.draw_classes, figures, run.name, run.path),
        "scores": partial(histograms.draw_scores, figures, run.name, run.path),
        "sheet": partial(draw_sheet, run, model_file.read(run.path).names, base),
    }
    drawn, warnings = list[Path](), list[str]()
    for name, draw in drawings.items():
        try:
            path = draw()
        except Exception as error:  # the numbers are there, with or without a picture
            warnings.append(f"{name}: {type(error).__name__}: {error}")
            continue
        drawn += [path] if path is not None else []
    return drawn, warnings


def _classes(figures: Figures, most: int) -> list[str]:
    if not figures.classes:
        return []
    shown = figures.classes[:most]
    what = ["class", "images"] if figures.task == "classify" else ["class", "objects", "images"]
    rows = [[printable(formatting.cut(each.name, _MAX_CELL)), str(each.objects), str(each.images)] for each in shown]
    lines = formatting.table([what, *(row[: len(what)] for row in rows)], right=(1, 2))
    rest = len(figures.classes) - len(shown)
    return [*lines, f"and {rest} more: --all shows them"] if rest else lines


def _failures(figures: Figures) -> list[str]:
    lost = sum(figures.statuses[status.value] for status in (Status.unreadable, Status.failed))
    if not lost:
        return []
    cells = [
        [
            str(each.index),
            each.status,
            formatting.ending(_place(each.source, each.frame), _MAX_SOURCE),
            each.error or "",
        ]
        for each in figures.failures
    ]
    lines = formatting.table([[printable(cell) for cell in row] for row in cells], right=(0,))
    rest = f": the first {len(cells)} of {lost}" if lost > len(cells) else ""
    where = f" ({FAILURES} has all)" if figures.is_whole else ""
    return [f"{counted(lost, 'image')} could not be predicted{rest}{where}", *lines]


def _place(source: str, frame: int | None) -> str:
    return source if frame is None else f"{source} #{frame}"


def _slow(report: PredictionSummary) -> list[str]:
    """The rank and the units that took longest, where there are others to compare them with."""
    figures, lines = report.figures, list[str]()
    if len(figures.paces) > 1:
        slowest, usual = figures.paces[0], median(pace.images_per_s for pace in figures.paces)
        who = formatting.rank_name(slowest.rank, slowest.host)
        pace, others = formatting.number(slowest.images_per_s), formatting.number(usual)
        lines.append(f"slowest rank: {who}, {pace} images/s; the median of {len(figures.paces)} is {others}")
    if figures.timed_units > 1:
        middle = formatting.number(1000 * figures.usual_image_s)
        lines.append(f"slowest units, in ms an image ({middle} in the median of {figures.timed_units}):")
        size = load_own(report.run.config, of=PredictConfig).images_of_unit
        for unit in figures.slow_units:
            first = unit.unit * size
            images = f"images {first} to {first + unit.images - 1}"
            lines.append(f"  {formatting.number(1000 * unit.seconds / unit.images)}  {images}, by rank {unit.rank}")
    return lines
