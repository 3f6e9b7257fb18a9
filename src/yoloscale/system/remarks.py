"""Sentences for a person whose config is taken, though not all of it does what it seems to do.

Whatever reads a config takes a `say: Say` and calls it with one line a remark. Problems are raised instead.
"""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]


def silent(line: str) -> None:
    """For callers that only want the config."""


def once(say: Say) -> Say:
    """As `say`, but each line is said once: for many points that have the same thing to tell."""
    lines = set[str]()

    def say_once(line: str) -> None:
        if line not in lines:
            lines.add(line)
            say(line)

    return say_once
