"""Plain data to a typed `Config` and back. OmegaConf checks and converts; text in it is never an interpolation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

from omegaconf import OmegaConf

from yoloscale.config.quoting import without_interpolation
from yoloscale.config.schema import Config


def from_plain(values: Mapping[str, Any]) -> Config:
    """Build a config; keys that are left out have their defaults. Raises OmegaConf's errors."""
    tree = OmegaConf.merge(
        OmegaConf.structured(Config), OmegaConf.create(_map_text(dict(values), without_interpolation))
    )
    return cast(Config, OmegaConf.to_object(tree))


def to_plain(config: Config) -> dict[str, Any]:
    """Nested mappings of numbers, text, lists and None, in the schema's order."""
    return cast("dict[str, Any]", _map_text(dataclasses.asdict(config), str))


def _map_text(value: Any, change: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _map_text(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_text(item, change) for item in value]
    if isinstance(value, Enum):
        return value.value
    return change(value) if isinstance(value, str) else value
