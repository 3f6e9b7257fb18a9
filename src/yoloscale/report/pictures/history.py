"""The metric of each point, in the order of the points, and the best one so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from yoloscale.report.pictures import style
from yoloscale.report.results import PRUNED, Objective, PointResult, SweepResults
from yoloscale.system import formatting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "metric_over_points.png"
_HEIGHT, _WIDTH = 3.4, 9.0  # inches, of one objective


def draw(results: SweepResults, folder: Path) -> Path | None:
    """Draw one panel for each objective; None if no point has a number."""
    if not any(point.has_all for point in results.points):
        return None
    rows = len(results.objectives)
    picture, panels = style.figure(_WIDTH, 1.0 + _HEIGHT * rows, rows)
    for place, (objective, axes) in enumerate(zip(results.objectives, panels, strict=True)):
        _panel(axes, results, objective, place)
    panels[-1].set_xlabel("point" if not results.is_search else "trial", fontsize=style.LABEL_SIZE)
    style.whole_numbers(panels[-1].xaxis)
    count = _places(results)
    panels[-1].set_xlim(-0.5 - 0.01 * count, count - 0.5 + 0.01 * count)
    style.title(picture, formatting.cut(results.sweep.name, 80))
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    picture.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=style.TICK_SIZE,
    )
    return style.save(picture, folder / NAME)


def _panel(axes: Axes, results: SweepResults, objective: Objective, place: int) -> None:
    size = 36 if len(results.points) <= 60 else 14
    groups: dict[str, list[tuple[float, float]]] = {"finished": [], PRUNED: [], "so far": []}
    for point in results.points:
        value = point.objectives[place]
        if value is not None:
            groups[_group(point)].append((point.index, value))
    failed = [(float(point.index), 0.02) for point in results.points if point.state == "failed"]
    hollow = {"facecolor": "white", "edgecolor": style.BLUE, "label": "so far: not finished"}
    at_the_bottom = {"transform": axes.get_xaxis_transform(), "clip_on": False}
    style.scatter(axes, groups["finished"], s=size, color=style.BLUE, label="finished", zorder=3)
    style.scatter(axes, groups[PRUNED], s=size, marker="x", color=style.GREY, label="pruned", zorder=2)
    style.scatter(axes, groups["so far"], s=size, zorder=3, **hollow)
    style.scatter(axes, failed, s=size, marker="^", color=style.VERMILION, label="failed", zorder=3, **at_the_bottom)
    _best_so_far(axes, objective, groups["finished"], _places(results))
    direction = "" if objective.is_maximized else " (less is better)"
    axes.set_ylabel(formatting.metric_name(objective.name) + direction, fontsize=style.LABEL_SIZE)
    style.large_numbers(axes.yaxis, [value for values in groups.values() for _, value in values])
    axes.margins(y=0.12)


def _best_so_far(axes: Axes, objective: Objective, finished: list[tuple[float, float]], count: int) -> None:
    steps = list[tuple[float, float]]()
    for index, value in finished:
        if not steps or objective.gain(value) > objective.gain(steps[-1][1]):
            steps.append((index, value))
    if not steps:
        return
    index, value = steps[-1]
    xs, ys = zip(*steps, (count - 1, value), strict=True)
    axes.step(xs, ys, where="post", color=style.ORANGE, linewidth=2, label="best so far", zorder=1)
    side = "left" if index < count / 2 else "right"
    offset, va = ((0, 7), "bottom") if objective.is_maximized else ((0, -7), "top")
    look = {"fontweight": "bold", "color": style.INK, "zorder": 4}
    style.note(axes, formatting.number(value), (index, value), offset, va=va, ha=side, **look)


def _places(results: SweepResults) -> int:
    """How many places there are for points; those of a search on SLURM are not filled in their order."""
    return max(point.index for point in results.points) + 1


def _group(point: PointResult) -> str:
    if point.state == PRUNED:
        return PRUNED
    return "so far" if point.is_partial else "finished"
