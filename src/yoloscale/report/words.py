"""Keys and numbers as short as they can be told. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def short_keys(keys: Sequence[str]) -> list[str]:
    """Dotted keys by their last part where no other key ends like that: `data.shapes.seed` as `seed`."""
    ends = Counter(key.rsplit(".", 1)[-1] for key in keys)
    return [last if ends[last := key.rsplit(".", 1)[-1]] == 1 else key for key in keys]


def metric(name: str) -> str:
    """`metrics/mAP50(B)` as `mAP50`; masks and keypoints keep their letter, to be told from the boxes."""
    return name.rsplit("/", 1)[-1].replace("(B)", "")


def number(value: float) -> str:
    """`0.4131`, `88.1`, `2.41M`: four digits that count, never an exponent for what is neither tiny nor huge."""
    size = abs(value)
    for limit, unit in ((1e9, "G"), (1e6, "M")):
        if size >= limit:
            return f"{value / limit:.3g}{unit}"
    if size >= 1000 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.4f}" if 0.001 <= size < 10 else f"{value:.4g}"


def value(text: str) -> str:
    """A value that was varied: numbers with four digits that count, text as it is."""
    try:
        return f"{float(text):.4g}" if "." in text or "e" in text.lower() else text
    except ValueError:
        return text


def as_number(text: str) -> float | None:
    """The finite number that a text stands for; None for any other text."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def duration(seconds: float) -> str:
    """`1:02:03`, `4:05`."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def cut(text: str, width: int) -> str:
    """Text of at most so many characters; what is left out is a `…`."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def ending(text: str, width: int) -> str:
    """The end of a text of at most so many characters: paths and keys that begin alike differ there."""
    return text if len(text) <= width else f"…{text[1 - width :]}"
