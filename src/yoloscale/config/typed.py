"""Plain data to a typed `Config` and back. OmegaConf checks and converts; text in it is never an interpolation."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, partial
from typing import Any, TypeVar, cast

from omegaconf import OmegaConf

from yoloscale.config.keys import members
from yoloscale.config.quoting import without_interpolation

_Schema = TypeVar("_Schema")


def from_plain(values: Mapping[str, Any], schema: type[_Schema]) -> _Schema:
    """Build a config; keys that are left out have their defaults. Raises OmegaConf's errors."""
    plain = OmegaConf.create(_map_text(dict(values), without_interpolation))
    return cast(_Schema, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), plain)))


def build(schema: type[_Schema], values: Mapping[str, Any]) -> _Schema:
    """A config from data that has the types of the schema already; nothing is checked but that the keys exist.

    As `from_plain`, at a hundredth of its time. Words become members where an Enum stands in the schema.
    """
    plain = dict(values)
    for name, converted in _conversions(cast(Any, schema)).items():
        if plain.get(name) is not None:
            plain[name] = converted(plain[name])
    return schema(**plain)


@cache
def _conversions(schema: Any) -> dict[str, Callable[[Any], Any]]:
    """What makes values of plain data, for the keys that hold a group or a member of an Enum."""
    hints = {name: members(hint) for name, hint in typing.get_type_hints(schema).items()}
    kinds = [(name, kind) for name, alternatives in hints.items() for kind in alternatives if isinstance(kind, type)]
    groups = {name: partial(build, kind) for name, kind in kinds if dataclasses.is_dataclass(kind)}
    lists = {
        name: partial(_each, typing.get_args(hint)[0])
        for name, alternatives in hints.items()
        for hint in alternatives
        if typing.get_origin(hint) is list and _is_enum(typing.get_args(hint)[0])
    }
    return {**groups, **lists, **{name: kind for name, kind in kinds if issubclass(kind, Enum)}}


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _each(kind: type[Enum], words: list[Any]) -> list[Enum]:
    return [kind(word) for word in words]


def to_plain(config: Any) -> dict[str, Any]:
    """A config, or a group of it, as nested mappings of numbers, text, lists and None, in the schema's order."""
    return cast("dict[str, Any]", _map_text(dataclasses.asdict(config), str))


def _map_text(value: Any, change: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _map_text(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_text(item, change) for item in value]
    if isinstance(value, Enum):
        return value.value
    return change(value) if isinstance(value, str) else value
