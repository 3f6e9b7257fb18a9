"""The keys of the schemas by their dotted names: what type each takes, and which one was probably meant.

Each kind of run has a schema: what a key is, is asked for one kind, which is training where none is named.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Union

from yoloscale.config.kinds import KINDS, TRAIN
from yoloscale.config.launchers import launchers

# Arguments that take one value or several: a comma makes a list of them, never a sweep.
LIST_LIKE = frozenset(
    {
        *("classes", "freeze", "scale", "fraction", "callbacks", "source", "embed", "predict.save"),
        *("cluster.gpus", "logger.wandb.tags", "cluster.export"),
    }
)

_OURS = ("origin",)  # written when a run is frozen

_BELOW_NULL = {
    "data.shapes": "it belongs to data=shapes: leave it out",
    "sweep.search": "add sweep=tpe",
    "trial": "leave it out: a search writes it",
}
_MORE = {"time": ", the hours that training takes; the limit of a job, like 12:00:00, is cluster.time"}
FREE = ("cluster.sbatch.", "cluster.env.")  # mappings: any key below these


@cache
def known(kind: str = TRAIN) -> Mapping[str, Any]:
    """Type hint of every key a person may set, by dotted name; groups (`cluster`) are keys too."""
    schema = KINDS[kind].load_schema()
    return {key: hint for key, hint in _flatten(schema, "") if key.partition(".")[0] not in _OURS}


def _flatten(schema: type, prefix: str) -> Iterable[tuple[str, Any]]:
    for name, hint in typing.get_type_hints(schema).items():
        yield prefix + name, hint
        for member in members(hint):
            if dataclasses.is_dataclass(member):
                yield from _flatten(typing.cast(type, member), f"{prefix}{name}.")


def members(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union without None; the hint itself if it is no union."""
    if typing.get_origin(hint) in (Union, types.UnionType):
        return tuple(member for member in typing.get_args(hint) if member is not type(None))
    return (hint,)


def is_group(key: str, kind: str = TRAIN) -> bool:
    """Whether the key holds other keys."""
    return any(dataclasses.is_dataclass(member) for member in members(known(kind)[key]))


def nullable_groups(kind: str = TRAIN) -> dict[str, type]:
    """The schema of every group that may be switched off, like `logger.wandb`, by dotted name."""
    all_keys = known(kind).items()
    hints = {key: hint for key, hint in all_keys if is_group(key, kind) and type(None) in typing.get_args(hint)}
    return {key: typing.cast(type, members(hint)[0]) for key, hint in hints.items()}


def switched_on(group: str) -> str:
    """What to write instead of a key below a nullable group that is null."""
    return _BELOW_NULL.get(group) or f"add {group.replace('.', '=')}"


def words_of(key: str) -> list[str] | None:
    """The only words that the key takes where its type is text, but its values are rows of a table; else None."""
    return launchers() if key == "cluster.launcher" else None


def is_text(key: str, kind: str = TRAIN) -> bool:
    """Whether the key takes any text (names, paths, addresses)."""
    return str in members(known(kind)[key]) and words_of(key) is None


def describe(key: str, kind: str = TRAIN) -> str:
    """What the key takes, in words."""
    hint = known(kind)[key]
    if choices := words_of(key):
        return f"one of {', '.join(choices)}"
    words = [_describe(member) for member in members(hint)]
    if key == "imgsz" and hint is Any:
        words = ["a size in pixels, or a list [height,width]"]
    if key in LIST_LIKE and not all(typing.get_origin(member) is list for member in members(hint)):
        words = ["a value or a list of values"]
    if type(None) in typing.get_args(hint):
        words.append("null")
    return " or ".join(words) + _MORE.get(key, "")


def _describe(member: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if isinstance(member, type) and issubclass(member, Enum):
        return "one of " + ", ".join(str(item.value) for item in member)
    if typing.get_origin(member) is dict:
        return "a mapping like {name: value}"
    if typing.get_origin(member) is list:
        (entry,) = typing.get_args(member)
        if isinstance(entry, type) and issubclass(entry, Enum):
            return "a list of " + ", ".join(str(item.value) for item in entry)
        return "a list like [0,1]" if entry is int else "a list like [a,b]"
    return names.get(member, "a group of keys")


def nearest_keys(name: str, candidates: Iterable[str], kind: str = TRAIN) -> str:
    """What to write in place of a key that there is none of."""
    near = nearest(name, candidates, count=3)
    return f"did you mean {' or '.join(near)}?" if near else f"`yoloscale {KINDS[kind].verb} --cfg job` lists every key"


def nearest(word: str, candidates: Iterable[str], count: int = 1) -> list[str]:
    """The candidates most like the word, best first: the same last part, else the spelling, in any letter case."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    lower = word.lower()
    same_end = [candidate for name, candidate in by_lower.items() if name.split(".")[-1] == lower.split(".")[-1]]
    if same_end:
        return same_end[:count]
    ends = {name.split(".")[-1]: candidate for name, candidate in by_lower.items()}
    alike = [by_lower[name] for name in difflib.get_close_matches(lower, by_lower, n=count, cutoff=0.6)]
    alike += [ends[name] for name in difflib.get_close_matches(lower, ends, n=count, cutoff=0.7)]
    return list(dict.fromkeys(alike))[:count]
