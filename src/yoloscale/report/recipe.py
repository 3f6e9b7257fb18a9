"""A frozen config as an `experiment/` file: whoever composes with it gets the same training again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from yoloscale.config.compose.hydra import compose_tree
from yoloscale.config.freeze import dump
from yoloscale.config.locations import configs_folder
from yoloscale.config.quoting import without_interpolation
from yoloscale.config.schema import Config
from yoloscale.config.typed import to_plain

_NOT_OF_THE_TRAINING = ("name", "id", "cluster", "paths", "logger", "sweep", "trial", "origin")
_CHOSEN = ("model", "data")  # groups whose options stand for a whole section
_CUSTOM = "custom"
_LOCAL = "local"

Composed = Callable[[tuple[str, ...]], "dict[str, Any]"]


def composer() -> Composed:
    """Composes arguments of `train` to plain data, each set of them once; nobody may change what it gives."""
    return cache(_compose)


def recipe(config: Config, comment: Sequence[str], composed: Composed | None = None) -> str:
    """The text of an experiment file with all of a frozen config that differs from what is composed without it.

    Where and under what name it trains is left to whoever uses it. It needs no group of the person who froze the
    config, and holds on a machine with other settings of its own (`local/default.yaml`), too. `composed` remembers what
    several recipes ask for.
    """
    composed = composed or composer()
    plain = to_plain(config)
    options = {group: _option(group, plain[group], composed) for group in _CHOSEN}
    chosen = [f"{group}={option}" for group, option in options.items()]
    values = _differing(plain, composed(tuple(chosen)))
    if (configs_folder() / _LOCAL / "default.yaml").is_file():
        values = _merged(values, _differing(plain, composed((*chosen, f"~{_LOCAL}"))))
    head = {"defaults": [{f"override /{group}": option} for group, option in options.items()]}
    lines = "".join(f"# {line}\n" for line in comment)
    ordered = {field.name: values[field.name] for field in dataclasses.fields(Config) if field.name in values}
    return f"# @package _global_\n{lines}{dump(head)}" + (f"\n{dump(ordered)}" if ordered else "")


def _option(group: str, section: Mapping[str, Any], composed: Composed) -> str:
    """The shipped option of a group that has most in common with a section."""
    shipped = {path.stem for path in (configs_folder() / group).glob("*.yaml")}
    named = [option for option in (section["name"], "default") if option in shipped]

    def distance(option: str) -> tuple[bool, int]:
        differing = _differing_section(section, composed((f"{group}={option}",))[group])
        return option != _CUSTOM and "source" in differing, _size(differing)

    return min([*named, _CUSTOM], key=distance)


def _compose(tokens: tuple[str, ...]) -> dict[str, Any]:
    tree = compose_tree("train", list(tokens))
    plain: Any = OmegaConf.to_container(tree, resolve=True)
    assert isinstance(plain, dict)
    return plain


def _differing(config: Mapping[str, Any], composed: Mapping[str, Any]) -> dict[str, Any]:
    training = {key: value for key, value in config.items() if key not in _NOT_OF_THE_TRAINING}
    return _differing_section(training, composed)


def _differing_section(section: Mapping[str, Any], composed: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are not the composed ones, as they are written into YAML."""
    values = dict[str, Any]()
    for key, value in section.items():
        there = composed.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            if inner := _differing_section(value, there):
                values[key] = inner
        elif value != _plain(there) or isinstance(value, bool) is not isinstance(there, bool):
            values[key] = _written(value)
    return values


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _written(value: Any) -> Any:
    """Text is data: OmegaConf must not look anything up in it."""
    if isinstance(value, Mapping):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_written(item) for item in value]
    return without_interpolation(value) if isinstance(value, str) else value


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """All keys of both; they have the same value where both have one."""
    both = {**one, **other}
    for key in one.keys() & other.keys():
        if isinstance(one[key], Mapping) and isinstance(other[key], Mapping):
            both[key] = _merged(one[key], other[key])
    return both


def _size(values: Mapping[str, Any]) -> int:
    return sum(_size(value) if isinstance(value, Mapping) else 1 for value in values.values())
