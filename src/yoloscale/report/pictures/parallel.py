"""Each point as a line across one axis for each varied key; its colour is how well it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yoloscale.report.importance import importance
from yoloscale.report.pictures import style
from yoloscale.report.pictures.axis import Axis, make_axis
from yoloscale.report.results import PointResult, SweepResults
from yoloscale.system import formatting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "parallel_coordinates.png"
_PER_AXIS, _LEAST, _HEIGHT = 1.25, 7.0, 5.4  # inches
_MOST_AXES = 12  # beside the objectives
_LOWEST_SHADE = 0.1  # share of the points, the worst, that have the same colour: the others are told apart better
_MANY = 80  # points, from which lines are thin


def draw(results: SweepResults, folder: Path) -> Path | None:
    """Draw the points that have every number; None if fewer than two have, or nothing was varied."""
    points = [point for point in results.points if point.has_all]
    keys = [key for key in results.keys if len({point.values.get(key, "") for point in points}) > 1]
    if len(points) < 2 or not keys:
        return None
    shown = _most_important(results, keys)
    scales = _axes(results, shown, points)
    picture, [axes] = style.figure(max(_LEAST, 1.8 + _PER_AXIS * len(scales)), _HEIGHT)
    _lines(picture, axes, results, scales, points)
    _scales(axes, scales)
    some = f", the {len(shown)} keys that matter most of {len(keys)}" if len(shown) < len(keys) else ""
    style.title(picture, f"{formatting.cut(results.sweep.name, 60)}: {len(points)} points{some}")
    return style.save(picture, folder / NAME)


def _most_important(results: SweepResults, keys: Sequence[str]) -> list[str]:
    """The keys, in their order; of very many those that the metric depends on most."""
    if len(keys) <= _MOST_AXES:
        return list(keys)
    measured = importance(results)
    ranked = [*measured[1]] if measured is not None else list(keys)
    return [key for key in keys if key in ranked[:_MOST_AXES]]


def _axes(results: SweepResults, keys: Sequence[str], points: Sequence[PointResult]) -> list[tuple[Axis, list[float]]]:
    """The axes from left to right, each with the place of every point on it; the objectives come last."""
    scales = []
    for key, title in zip(keys, formatting.short_keys(keys), strict=True):
        values = [point.values.get(key, "") for point in points]
        axis = make_axis(title, values, is_log=key in results.log_keys)
        scales.append((axis, [axis.places[value] for value in values]))
    for place, objective in enumerate(results.objectives):
        texts = [repr(point.objectives[place]) for point in points]
        axis = make_axis(formatting.metric_name(objective.name), texts)
        scales.append((axis, [axis.places[text] for text in texts]))
    return scales


def _lines(
    picture: Figure,
    axes: Axes,
    results: SweepResults,
    scales: Sequence[tuple[Axis, list[float]]],
    points: Sequence[PointResult],
) -> None:
    from matplotlib.collections import LineCollection

    objective = results.objectives[0]
    values = [float(point.objectives[0] or 0.0) for point in points]
    order = worst_first(results, points)  # the best on top
    paths = [[(place, places[number]) for place, (_, places) in enumerate(scales)] for number in order]
    is_many, is_clipped = len(points) > _MANY, len(points) >= 1 / _LOWEST_SHADE
    # yellow is for the better ones and does not show well on white: the map ends before it
    colours = _colour_map(reverse=not objective.is_maximized)
    lines = LineCollection(paths, cmap=colours, linewidths=0.9 if is_many else 1.8, alpha=0.55 if is_many else 0.85)
    lines.set_array([values[number] for number in order])
    by_gain = sorted(values, key=objective.gain)
    worst = by_gain[int(_LOWEST_SHADE * len(by_gain))] if is_clipped else by_gain[0]
    lines.set_clim(*sorted((worst, by_gain[-1])))
    axes.add_collection(lines)
    if len(points) > 2 and points[order[-1]].is_complete:
        best = LineCollection(paths[-1:], colors=[style.VERMILION], linewidths=2.6, zorder=4, label="best")
        axes.add_collection(best)
        axes.legend(handles=[best], loc="lower left", bbox_to_anchor=(0.0, -0.12), frameon=False, fontsize=9)
    extend = ("min" if objective.is_maximized else "max") if is_clipped else "neither"
    bar = picture.colorbar(lines, ax=axes, pad=0.02, fraction=0.05, aspect=32, extend=extend)
    bar.set_label(formatting.metric_name(objective.name), fontsize=style.LABEL_SIZE)
    bar.ax.tick_params(labelsize=style.TICK_SIZE)
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    bar.outline.set_visible(False)


def worst_first(results: SweepResults, points: Sequence[PointResult]) -> list[int]:
    """Where the points stand in the list, in the order of the table turned round: the last one is the best."""
    rank = {point.index: place for place, point in enumerate(results.ranked())}
    return sorted(range(len(points)), key=lambda number: -rank[points[number].index])


def _colour_map(*, reverse: bool) -> Any:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    shades = [colormaps[style.COLOUR_MAP](0.92 * step / 255) for step in range(256)]
    return ListedColormap(shades[::-1] if reverse else shades)


def _scales(axes: Axes, scales: Sequence[tuple[Axis, list[float]]]) -> None:
    from matplotlib.patheffects import AbstractPathEffect, withStroke

    outline: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="white")]
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(-0.55, len(scales) - 0.75)
    axes.xaxis.tick_top()
    titles = [style.plain(formatting.ending(axis.key, 22)) for axis, _ in scales]
    axes.set_xticks(range(len(scales)), titles, fontsize=style.LABEL_SIZE)
    if max(map(len, titles)) > 12:
        for title in axes.get_xticklabels():
            title.set(rotation=20, ha="left", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    for place, (axis, _) in enumerate(scales):
        axes.vlines(place, 0, 1, color=style.INK, linewidth=1.0, zorder=3)
        for height, label in axis.ticks:
            axes.plot([place - 0.03, place], [height, height], color=style.INK, linewidth=1, zorder=3)
            look: dict[str, Any] = {
                "fontsize": style.TICK_SIZE,
                "color": style.INK,
                "zorder": 5,
                "path_effects": outline,
            }
            axes.text(place - 0.05, height, style.plain(label), ha="right", va="center", **look)
