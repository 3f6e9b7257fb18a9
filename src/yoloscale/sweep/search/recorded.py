"""The space of a search as it was read when the search began, whatever the same words are read as today.

It stands in sweep.yaml. Searches of before it did have their dimensions in the study, as an attribute, and the rest in
what was typed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yoloscale.errors import ConfigError, Problem
from yoloscale.launch import anew
from yoloscale.runs import jsonl
from yoloscale.runs.sweep_directory import SweepRecord
from yoloscale.sweep.grammar.points import Choice, is_swept, read_arguments
from yoloscale.sweep.grammar.space import Choices, Dimension, Interval, Space, read_space
from yoloscale.sweep.grammar.yaml_params import LISTS

_ATTRIBUTE = "space"  # of an older search's study


def plain(space: Space) -> tuple[Any, ...]:
    """A space as it is put on record: arguments that stay as text, dimensions as mappings."""
    return tuple(part if isinstance(part, str) else entry_of(part) for part in space.parts)


def entry_of(part: Dimension) -> dict[str, Any]:
    """A dimension as it is put on record."""
    head: dict[str, Any] = {"key": part.key, "typed": part.typed}
    if isinstance(part, Choices):
        return {**head, "choices": list(part.values)}
    return {**head, "low": part.low, "high": part.high, "step": part.step, "log": part.is_log}


def recorded_space(record: SweepRecord, journal: Path) -> Space:
    """The space of a search that is on record. Raises ConfigError where it cannot be read."""
    try:
        if record.space is not None:
            return Space(tuple(part if isinstance(part, str) else _dimension(part) for part in record.space))
        dimensions = _in_study(journal)
        return read_space(record.overrides) if dimensions is None else _older(record.overrides, dimensions)
    except (KeyError, TypeError, AttributeError) as error:
        found = f"no space of this version: {type(error).__name__}: {error}"
        raise ConfigError(Problem("sweep.yaml", found, "search again under another name=")) from error


def retyped(space: Sequence[Any], words: Sequence[str]) -> tuple[Any, ...]:
    """The space on record with arguments that stay as they are typed now."""
    keys = [anew.key_of(word) for word in words]
    return (*(part for part in space if not isinstance(part, str) or anew.without([part], keys)), *words)


def _dimension(entry: Mapping[str, Any], typed: str | None = None) -> Dimension:
    key: str = entry["key"]
    typed = typed or entry.get("typed", key)
    if "choices" in entry:
        return Choices(key, tuple(Choice(typed.lstrip("+"), f"{typed}={value}", value) for value in entry["choices"]))
    return Interval(key, typed, entry["low"], entry["high"], entry["step"], entry["log"])


def _in_study(journal: Path) -> list[dict[str, Any]] | None:
    """The dimensions that a study was begun with; None where it does not tell. Needs no Optuna: `status` has none."""
    if not journal.exists():
        return None
    attributes = (entry.get("user_attr") for entry in jsonl.read(journal))
    return next((each[_ATTRIBUTE] for each in attributes if isinstance(each, dict) and _ATTRIBUTE in each), None)


def _older(typed: Sequence[str], dimensions: Sequence[Mapping[str, Any]]) -> Space:
    """What was typed, with the dimensions that it had then.

    Those of presets that have lost them since stay, those that presets have got since are left out. Several values of a
    key that takes lists are one list unless they are on record as dimension.
    """
    arguments, entries = read_arguments(typed), {entry["key"]: entry for entry in dimensions}

    def parts() -> Iterator[tuple[str, str | Dimension]]:
        for token in arguments.tokens:
            marked = token.partition("=")[0].strip()
            key = marked.lstrip("+").partition("@")[0]
            if key in entries:
                yield key, _dimension(entries[key], marked)
            elif key in LISTS or not is_swept(token, arguments.catalog):
                yield key, token

    present = dict(parts())
    lost = [_dimension(entry) for key, entry in entries.items() if key not in present]
    return Space((*arguments.flags, *lost, *present.values()))
