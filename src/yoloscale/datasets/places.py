"""Folders and files that a path may have meant: looked for, never guessed."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

WINDOWS = re.compile(r"[A-Za-z]:[\\/]|[A-Za-z]:[\t\n\r\a\b\f\v]|\\\\")  # a drive or a share; escapes may have been read
_SAME_WORDS = ({"val", "valid", "validation"}, {"train", "training"}, {"test", "testing"}, {"images", "imgs", "image"})

EVERYWHERE = {"images", "imgs", "image", "labels", "data"}
_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"})


def parts_of(written: str) -> tuple[str, ...]:
    """The folders and the name of a path as a person wrote it on any system, without `.` and the root."""
    split = re.split(r"[\\/]+", written) if "\\" in written or WINDOWS.match(written) else written.split("/")
    return tuple(part for part in split if part not in ("", "."))


def shown(written: str) -> str:
    """A text as it is, or with quotes and escapes where one would not see what is in it."""
    return written if written == written.strip() and written.isprintable() else repr(written)


def unescaped(written: str) -> str:
    """A Windows path from between double quotes: YAML made a tab of `\\t`, and so on."""
    return written.translate(_ESCAPES)


def exists(path: Path) -> bool:
    """Whether a path is there; not one that cannot be looked at (no permission, too long)."""
    return os.path.exists(path)  # noqa: PTH110  # Path.exists raises in these cases


def find_tail(parts: Sequence[str], bases: Iterable[Path], shortest: int = 1) -> tuple[Path, int] | None:
    """The base below which the end of a path exists, and how many of its first parts are not in it.

    At least `shortest` parts must be left, or all; a lone `images` is no end worth finding.
    """
    unique = list(dict.fromkeys(bases))
    for skipped in range(len(parts)):
        tail = parts[skipped:]
        if ".." in tail or (skipped and (len(tail) < shortest or (tail[0].lower() in EVERYWHERE and len(tail) == 1))):
            continue
        for base in unique:
            if exists(base.joinpath(*tail)):
                return base, skipped
    return None


def near(path: Path) -> Path | None:
    """An existing path that differs from `path` in the spelling or the order of its last folders."""
    parent = path
    while not exists(parent):
        parent = parent.parent
    rest = path.relative_to(parent).parts
    orders = [rest]
    if len(rest) == 2:
        orders.append((rest[1], rest[0]))
    elif len(rest) == 1:
        orders += [("images", rest[0]), (rest[0], "images")]
    return next((other for order in orders for other in _spelt_otherwise(parent, order)), None)


def _spelt_otherwise(parent: Path, rest: tuple[str, ...]) -> Iterator[Path]:
    if not rest:
        yield parent
        return
    try:
        names = sorted(entry.name for entry in parent.iterdir() if not entry.name.startswith("."))
    except OSError:
        return  # a file, or not to be read: nothing to propose
    for name in _candidates(rest[0], names):
        yield from _spelt_otherwise(parent / name, rest[1:])


def _candidates(word: str, names: list[str]) -> list[str]:
    same = next((words for words in _SAME_WORDS if word.lower() in words), None)
    exact = [name for name in names if name == word]
    like = [name for name in names if name.lower() in (same or {word.lower()})]
    close = [] if same else difflib.get_close_matches(word, names, n=3, cutoff=0.75)
    return list(dict.fromkeys([*exact, *like, *close]))
