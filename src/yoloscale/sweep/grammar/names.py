"""What the points of a sweep are called: folder names that say what they differ by."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from yoloscale.config.check.placement import NAME_BYTES
from yoloscale.sweep.grammar.points import Point

_DIGEST_DIGITS = 8


def folder_names(points: Sequence[Point]) -> list[str]:
    """A name for each point, `lr0=0.01,model=yolo26n`; different for points that were typed differently.

    What a folder name may not hold is replaced; a name that is too long is cut, and one that another has too, in
    whatever letter case, gets a digest.
    """
    names = [_readable(point) for point in points]
    often = Counter(name.casefold() for name in names)
    return [
        _with_digest(name, point) if often[name.casefold()] > 1 or len(name.encode()) > NAME_BYTES else name
        for name, point in zip(names, points, strict=True)
    ]


def _readable(point: Point) -> str:
    words = ",".join(f"{choice.key}={choice.word}" for choice in point.swept)
    return "".join(letter if letter.isprintable() and letter != "/" else "-" for letter in words).strip().lstrip("-")


def _with_digest(name: str, point: Point) -> str:
    typed = "\n".join(choice.token for choice in point.swept)
    digest = hashlib.sha256(typed.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGEST_DIGITS]
    cut = name.encode()[: NAME_BYTES - len(digest) - 1].decode(errors="ignore")
    return f"{cut.rstrip()}-{digest}"
