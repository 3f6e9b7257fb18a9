"""`augmentations=`: Albumentations transforms from YAML, as a list in a recipe or in a file of their own.

What is accepted, an item each: `Name`, `Name: {argument: value}`, a composition with `transforms`, or what
`A.to_dict` and `A.save` write. Only the shape is told here; names and arguments are Albumentations' to know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from yoloscale.errors import ConfigError, Problem

KEY = "augmentations"
SERIALISED = "transform"  # the key below which A.to_dict puts a transform
CLASS = "__class_fullname__"
_EXAMPLE = "write a list such as `- Blur: {p: 0.1}` and `- OneOf: {transforms: [{CLAHE: {}}, {ToGray: {}}], p: 0.5}`"


def read(value: Any) -> list[dict[str, Any]] | None:
    """The transforms that `augmentations=` names or holds, in the one form that is frozen; None if it is not set.

    A form of the result: `{Name: {argument: value}}`, or a dictionary of A.to_dict's. Raises ConfigError.
    """
    if value is None:
        return None
    where = ""
    if isinstance(value, str):
        where, value = f"{value}: ", _content(Path(value).expanduser())
    if isinstance(value, dict) and KEY in value:  # a recipe, or an args.yaml
        value = value[KEY]
    if isinstance(value, dict) and SERIALISED in value:
        value = _parts_of(value)
    elif isinstance(value, dict):
        value = [{name: arguments} for name, arguments in value.items()]
    if not isinstance(value, list):
        raise ConfigError(Problem(KEY, f"{where}{type(value).__name__}, no list of transforms", _EXAMPLE))
    return _items(value, where, "item")


def _content(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        instead = "write the path of a YAML file, or the transforms themselves in a recipe"
        raise ConfigError(Problem(KEY, f"{str(file)!r} cannot be read: {error.strerror}", instead)) from error
    except (UnicodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or "not text"
        raise ConfigError(Problem(KEY, f"{file}{line}: no YAML ({what})", _EXAMPLE)) from error


def _parts_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The transforms of a serialised Compose; another transform alone."""
    transform = content[SERIALISED]
    if isinstance(transform, dict) and str(transform.get(CLASS, "")).rpartition(".")[2] == "Compose":
        rest = {key: value for key, value in content.items() if key != SERIALISED}
        return [{**rest, SERIALISED: part} for part in transform.get("transforms") or []]
    return [content]


def _items(items: list[Any], where: str, what: str) -> list[dict[str, Any]]:
    problems, transforms = list[Problem](), list[dict[str, Any]]()
    for number, item in enumerate(items, start=1):
        try:
            transforms.append(_item(item, where, f"{what} {number}"))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return transforms


def _item(item: Any, where: str, what: str) -> dict[str, Any]:
    if isinstance(item, str):
        return {item: {}}
    if isinstance(item, dict) and SERIALISED in item:
        return item
    if not isinstance(item, dict) or len(item) != 1 or not isinstance(next(iter(item)), str):
        found = f"{where}{what} is {item!r}, not a transform's name with its arguments"
        raise ConfigError(Problem(KEY, found, _EXAMPLE))
    name, arguments = next(iter(item.items()))
    if isinstance(arguments, list) and all(isinstance(each, (dict, str)) for each in arguments) and arguments:
        arguments = {"transforms": arguments}
    if not isinstance(arguments, (dict, type(None))):
        found = f"{where}{what}, {name}: {arguments!r} are no arguments"
        raise ConfigError(Problem(KEY, found, f"write `{name}: {{argument: value}}`"))
    arguments = dict(arguments or {})
    if isinstance(arguments.get("transforms"), list):
        arguments["transforms"] = _items(arguments["transforms"], where, f"{what}, {name}: item")
    return {name: arguments}
