"""The classes and the scores of a prediction as bars."""

from __future__ import annotations

from pathlib import Path

from yoloscale.report.pictures import style
from yoloscale.report.prediction.figures import SCORE_BINS, Figures
from yoloscale.system import formatting

CLASSES, SCORES = "classes.png", "scores.png"
_WIDTH, _PER_BAR, _AROUND, _HEIGHT = 8.0, 0.3, 1.5, 3.6  # inches
_MOST = 40  # bars
MAX_LABEL = 28  # characters


def draw_classes(figures: Figures, name: str, folder: Path) -> Path | None:
    """Draw how often there is each class, the most frequent on top; None where the task has none."""
    if not figures.classes:
        return None
    shown = figures.classes[:_MOST]
    counts = [each.objects for each in shown]
    picture, [axes] = style.figure(_WIDTH, _AROUND + _PER_BAR * len(shown))
    places = range(len(shown))
    axes.barh(places, counts, height=0.68, color=style.BLUE)
    axes.set_yticks(places, [style.plain(formatting.ending(each.name, MAX_LABEL)) for each in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, max(counts) * 1.14)
    style.whole_numbers(axes.xaxis)
    style.large_numbers(axes.xaxis, counts)
    for place, each in enumerate(shown):
        style.note(axes, formatting.number(each.objects), (each.objects, place), (4, 0))
    axes.set_xlabel(_noun(figures), fontsize=style.LABEL_SIZE)
    rest = len(figures.classes) - len(shown)
    left_out = f" (and {formatting.counted(rest, 'rarer class', 'rarer classes')})" if rest else ""
    style.title(picture, f"{formatting.cut(name, 50)}: {_noun(figures)} by class{left_out}")
    return style.save(picture, folder / CLASSES)


def draw_scores(figures: Figures, name: str, folder: Path) -> Path | None:
    """Draw how many objects have which score; None where the task has none."""
    if not figures.objects:
        return None
    picture, [axes] = style.figure(_WIDTH, _HEIGHT)
    width = 1 / SCORE_BINS
    lefts = [place * width for place in range(SCORE_BINS)]
    axes.bar(lefts, figures.scores, width=width * 0.92, align="edge", color=style.BLUE)
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="x")
    style.whole_numbers(axes.yaxis)
    style.large_numbers(axes.yaxis, figures.scores)
    axes.set_xlabel("score", fontsize=style.LABEL_SIZE)
    axes.set_ylabel(_noun(figures), fontsize=style.LABEL_SIZE)
    style.title(picture, f"{formatting.cut(name, 50)}: {_noun(figures)} by score")
    return style.save(picture, folder / SCORES)


def _noun(figures: Figures) -> str:
    return "images by their best class" if figures.task == "classify" else "objects"
