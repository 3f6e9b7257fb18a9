"""Numbers, durations and phrases as people read them. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from yoloscale.errors import Problem

COLUMN_GAP = 2  # spaces between the columns of a table


def counted(number: int, one: str, many: str = "") -> str:
    """A number and its noun: `1 rank`, `2 ranks`; `many` where an s does not do."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def tally(states: Iterable[str]) -> str:
    """`2 finished, 1 failed`: how often there is what, in the order of its first."""
    return ", ".join(f"{count} {state}" for state, count in Counter(states).items())


def and_more(names: Sequence[str], most: int) -> str:
    """The first names, `a, b`, and how many there are beside those: `a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def another(key: str, old: str, new: str, *, of: str) -> Problem:
    """What was frozen (`of`: run 'x', sweep 'x') differs from what is typed under the same name."""
    return Problem(key, f"{old} in {of} → {new} now", "give another name=, or the old value to go on with it")


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Rows of cells as lines with columns COLUMN_GAP apart; `right`: indices of columns that are flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    places = [(width, str.rjust if index in right else str.ljust) for index, width in enumerate(widths)]
    padded = [[pad(cell, width) for cell, (width, pad) in zip(cells, places, strict=True)] for cells in rows]
    return [(" " * COLUMN_GAP).join(cells).rstrip() for cells in padded]


def yaml_cure(message: str) -> str:
    """What to write in a YAML file of keys that does not parse, by what the parser said."""
    return "write blanks for the tab" if r"'\t'" in message else "write key: value lines, like epochs: 100"


def duration(seconds: float | None) -> str:
    """`1:02:03`, `4:05`, or nothing if it is not known."""
    if seconds is None:
        return ""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def age(seconds: float) -> str:
    """`5 s`, `12 min`, `3 h`, `2 d` ago."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86400)} d"


def percent(share: float) -> str:
    """`81 %`, `9.1 %`, `< 0.1 %`."""
    if share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def metric_name(key: str) -> str:
    """`metrics/mAP50(B)` as `mAP50`; masks and keypoints keep their letter, to be told from the boxes."""
    return key.rsplit("/", 1)[-1].replace("(B)", "")


def short_keys(keys: Sequence[str]) -> list[str]:
    """Dotted keys by their last part where no other key ends like that: `data.shapes.seed` as `seed`."""
    ends = Counter(key.rsplit(".", 1)[-1] for key in keys)
    return [last if ends[last := key.rsplit(".", 1)[-1]] == 1 else key for key in keys]


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
        result = float(text)
    except ValueError:
        return None
    return result if math.isfinite(result) else None


def printable(text: str) -> str:
    """Text of one line, with `?` for what a terminal would not show as it is."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def cut(text: str, width: int) -> str:
    """Text of at most so many characters; what is left out is a `…`."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def ending(text: str, width: int) -> str:
    """The end of a text of at most so many characters: paths and keys that begin alike differ there."""
    return text if len(text) <= width else f"…{text[1 - width :]}"


def ranges(indices: Iterable[int]) -> str:
    """Indices as sbatch writes them: 0, 1, 2, 5 is `0-2,5`."""
    parts = list[list[int]]()
    for index in sorted(indices):
        if parts and parts[-1][1] == index - 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in parts)


def rank_name(rank: int, host: str | None) -> str:
    """A rank as people are told of it."""
    return f"rank {rank} on {host or '?'}"
