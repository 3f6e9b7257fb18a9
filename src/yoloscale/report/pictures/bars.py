"""The importance of each varied key as bars."""

from __future__ import annotations

from pathlib import Path

from yoloscale.report.importance import importance
from yoloscale.report.pictures import style
from yoloscale.report.results import SweepResults
from yoloscale.system import formatting

NAME = "importance.png"
_WIDTH, _PER_BAR, _AROUND = 8.0, 0.34, 1.5  # inches
_MOST = 30  # bars


def draw(results: SweepResults, folder: Path) -> Path | None:
    """Draw the keys, the most important on top; None where there is nothing to compare."""
    if (measured := importance(results)) is None:
        return None
    kind, shares = measured
    shown = dict(list(shares.items())[:_MOST])
    picture, [axes] = style.figure(_WIDTH, _AROUND + _PER_BAR * len(shown))
    places = range(len(shown))
    axes.barh(places, list(shown.values()), height=0.62, color=style.BLUE)
    axes.set_yticks(places, [style.plain(formatting.ending(title, 28)) for title in formatting.short_keys(list(shown))])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, max(1e-9, max(shown.values())) * 1.12)
    for place, share in zip(places, shown.values(), strict=True):
        style.note(axes, f"{share:.2f}", (share, place), (4, 0))
    axes.set_xlabel(kind, fontsize=style.LABEL_SIZE)
    objective = formatting.metric_name(results.objectives[0].name)
    style.title(picture, f"{formatting.cut(results.sweep.name, 50)}: what {objective} depends on")
    return style.save(picture, folder / NAME)
