"""What all pictures have in common: colours that colour-blind people tell apart, quiet axes, files written whole."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yoloscale.system import formatting
from yoloscale.system.files import replacement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure

# Okabe and Ito's colours.
BLUE, ORANGE, VERMILION, GREEN, GREY, INK = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#8C8C8C", "#262626"
COLOUR_MAP = "viridis"
DPI = 150
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 12, 10, 9  # points


def figure(width: float, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of this size in inches, with so many axes below each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(picture)
    panels = list(picture.subplots(rows, 1, squeeze=False, sharex=True)[:, 0])
    for axes in panels:
        _quieten(axes)
    return picture, panels


def _quieten(axes: Axes) -> None:
    """Two thin lines for axes, a faint grid behind what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=TICK_SIZE, color=GREY, labelcolor=INK)
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def scatter(axes: Axes, places: Iterable[tuple[float, float]], **look: Any) -> None:
    """Draw points; nothing, not even in the legend, if there are none."""
    if points := list(places):
        axes.scatter([x for x, _ in points], [y for _, y in points], **look)


def note(
    axes: Axes, text: str, place: tuple[float, float], offset: tuple[float, float], *, va: str = "center", **look: Any
) -> None:
    """Write beside what is drawn at a place, so many points away from it."""
    axes.annotate(text, place, xytext=offset, textcoords="offset points", va=va, fontsize=TICK_SIZE, **look)


def large_numbers(axis: XAxis | YAxis, values: Iterable[float]) -> None:
    """Ticks like 2M, where numbers are as large as that."""
    from matplotlib.ticker import FuncFormatter

    if max(values, default=0.0) >= 10_000:
        axis.set_major_formatter(FuncFormatter(lambda value, _: formatting.number(value)))


def whole_numbers(axis: XAxis | YAxis) -> None:
    """Ticks at whole numbers, of what is counted."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def plain(text: str) -> str:
    r"""Text that is drawn as it is: between two `$` matplotlib reads mathematics."""
    return text.replace("$", r"\$")


def title(picture: Figure, text: str) -> None:
    """The heading of a picture."""
    picture.suptitle(plain(text), fontsize=TITLE_SIZE, x=0.01, ha="left")


def save(picture: Figure, path: Path) -> Path:
    """Write a PNG, whole or not at all. A letter that the font lacks is a box in it."""
    with replacement(path) as part, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        picture.savefig(part, format="png")
    return path
