"""Phrases that messages of several modules share."""

from __future__ import annotations

from yoloscale.errors import Problem


def counted(number: int, one: str, many: str = "") -> str:
    """A number and its noun: `1 rank`, `2 ranks`; `many` where an s does not do."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def another(key: str, old: str, new: str, *, of: str) -> Problem:
    """What was frozen (`of`: run 'x', sweep 'x') differs from what is typed under the same name."""
    return Problem(key, f"{old} in {of} → {new} now", "give another name=, or the old value to go on with it")


def yaml_cure(said: str) -> str:
    """What to write in a YAML file of keys that does not parse, by what the parser said."""
    return "write blanks for the tab" if r"'\t'" in said else "write key: value lines, like epochs: 100"
