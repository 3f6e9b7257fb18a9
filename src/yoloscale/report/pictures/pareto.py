"""Two objectives against each other, and the points that no other point beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from yoloscale.report.best import recipe_names
from yoloscale.report.pictures import style
from yoloscale.report.results import Objective, PointResult, SweepResults
from yoloscale.system import formatting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis

NAME = "pareto_front.png"
_LOG_RATIO = 10.0
_LABEL_GAP = 0.035  # least distance of two labels, as a share of the picture


def draw(results: SweepResults, folder: Path) -> Path | None:
    """Draw the points by their first two objectives; None with another number of objectives, or without points."""
    if len(results.objectives) != 2 or not any(point.is_complete for point in results.points):
        return None
    first, second = results.objectives  # the first upwards, the second along
    picture, [axes] = style.figure(8.0, 5.6)
    front = recipe_names(results)
    on_front = {point.index for _, point in front}
    _scatter(axes, [point for point in results.points if point.has_all and point.index not in on_front])
    line = sorted((_place(point) for _, point in front), key=lambda place: place[0])
    xs, ys = [place[0] for place in line], [place[1] for place in line]
    axes.step(xs, ys, where="pre" if second.is_maximized else "post", color=style.ORANGE, linewidth=1.6, zorder=2)
    style.scatter(axes, line, s=46, color=style.BLUE, label="Pareto front", zorder=4)
    _scale(axes.xaxis, second, [place[0] for place in _places(results.points)])
    _scale(axes.yaxis, first, [place[1] for place in _places(results.points)])
    axes.margins(0.08)
    axes.set_xlabel(_title(second), fontsize=style.LABEL_SIZE)
    axes.set_ylabel(_title(first), fontsize=style.LABEL_SIZE)
    _labels(axes, front, (second, first))
    style.title(picture, formatting.cut(results.sweep.name, 60))
    picture.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=style.TICK_SIZE)
    return style.save(picture, folder / NAME)


def _scale(axis: XAxis | YAxis, objective: Objective, values: Sequence[float]) -> None:
    """Sizes and times on a logarithmic scale where they are far apart; large numbers as 2M."""
    from matplotlib.ticker import LogLocator, NullLocator

    if objective.name.startswith("metrics/"):
        return
    if min(values) > 0 and max(values) / min(values) >= _LOG_RATIO:
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_locator(NullLocator())
    style.large_numbers(axis, values)


def _scatter(axes: Axes, points: Sequence[PointResult]) -> None:
    complete = _places([point for point in points if point.is_complete])
    others = _places([point for point in points if not point.is_complete])
    hollow = {"facecolor": "white", "edgecolor": style.GREY, "label": "not finished, pruned"}
    style.scatter(axes, complete, s=26, color="#A9C9E0", label="other points", zorder=3)
    style.scatter(axes, others, s=26, zorder=2, **hollow)


def _labels(axes: Axes, front: Sequence[tuple[str, PointResult]], objectives: tuple[Objective, Objective]) -> None:
    """The recipe of each point of the front, as far as they stay apart; the ends come first."""
    axes.figure.canvas.draw()
    ends_first = [*front[:1], *front[-1:], *front[1:-1]] if len(front) > 1 else front
    labelled = list[tuple[float, float]]()
    along, up = (1 if objective.is_maximized else -1 for objective in objectives)
    for name, point in ends_first:
        x, y = axes.transAxes.inverted().transform(axes.transData.transform(_place(point)))
        if any(abs(x - left) < _LABEL_GAP * 2.6 and abs(y - low) < _LABEL_GAP * 1.3 for left, low in labelled):
            continue
        labelled.append((x, y))
        sides = {"ha": "left" if along > 0 else "right", "va": "bottom" if up > 0 else "top"}
        style.note(axes, name, _place(point), (5 * along, 5 * up), zorder=5, **sides)


def _places(points: Sequence[PointResult]) -> list[tuple[float, float]]:
    return [_place(point) for point in points if point.has_all]


def _place(point: PointResult) -> tuple[float, float]:
    up, along = point.objectives
    assert up is not None, "only points with every number are drawn"
    assert along is not None, "only points with every number are drawn"
    return along, up


def _title(objective: Objective) -> str:
    return f"{formatting.metric_name(objective.name)} ({'more' if objective.is_maximized else 'less'} is better)"
