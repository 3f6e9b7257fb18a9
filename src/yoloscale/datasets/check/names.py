"""`names:` and `nc:` of a dataset YAML: taken as Ultralytics takes them, told where they are not what was written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from yoloscale.datasets.yaml_marks import MarkedYaml, line_of, value_of
from yoloscale.errors import Problem

_SHOWN = 5  # remarks of one kind
_PROPOSED = 30  # classes of a line that is proposed whole
_OTHER_WORDS = ("name", "classes", "class", "class_names", "classnames", "labels", "categories", "obj_names")
_EXAMPLE = "names: [cat, dog]"


def names_of(content: dict[Any, Any]) -> dict[int, str]:
    """Class names by index, of a content without problems."""
    names = content.get("names")
    if names is None:
        return {index: f"class_{index}" for index in range(_whole(content["nc"]) or 0)}
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return {int(key): str(name) for key, name in pairs}


def problems(marked: MarkedYaml) -> list[Problem]:
    """Why Ultralytics would not train with these names."""
    content = marked.content
    names = content.get("names")
    if names is None and (ids := [key for key in content if isinstance(key, int) and not isinstance(key, bool)]):
        first = f"{ids[0]}: {content[ids[0]]}"
        found = f"{marked.place('names')}: is empty, as the lines below it are not indented: {first}"
        instead = f"write {_line({key: content[key] for key in ids})}, or indent them"
        return [Problem("data.names", found, instead)]
    if names is None and "nc" not in content:
        return [_no_names(marked)]
    result = _problems_of_count(marked)
    if names is None:
        return result
    if not isinstance(names, (list, dict)):
        return [*result, _no_list(marked, names)]
    if not names:
        return [*result, Problem("data.names", f"{marked.place('names')}: is empty", f"list the classes: {_EXAMPLE}")]
    count = _whole(content.get("nc"))
    if not result and count is not None and count != len(names):
        found = f"{marked.place('names')}: has {len(names)} entries, nc says {count} ({marked.place('nc')})"
        result.append(Problem("data.names", found, "correct one, or leave the line nc: out: the names are counted"))
    if isinstance(names, dict) and (problem := _problem_of_ids(marked, names)):
        result.append(problem)
    return result


def remarks(marked: MarkedYaml) -> list[str]:
    """What is trained otherwise than it is written, each with its line and the spelling that keeps it."""
    node = marked.node("names")
    if not isinstance(node, yaml.CollectionNode):
        return []
    lines, entries = list[str](), list(enumerate(node.value))
    if isinstance(node, yaml.MappingNode):
        entries = [(int(value_of(key)), value) for key, value in node.value]
        for (index, _), (key, _) in zip(entries, node.value, strict=True):
            if isinstance(key, yaml.ScalarNode) and key.value.strip() != str(index):
                place = f"{marked.file}:{line_of(key)}"
                lines.append(f"{place}: the class id {key.value} is read as {index}; write {index}")
    lines += [line for index, value in entries for line in _remark_on_name(marked.file, index, value)]
    more = [f"{marked.file}: {len(lines) - _SHOWN} more such entries of names:"] if len(lines) > _SHOWN else []
    repeated = [
        f"{marked.file}:{each.last_line}: the class id {each.key} again (line {each.first_line} gave it before); "
        "the last name is taken"
        for each in marked.repeated
        if each.mapping == "names"
    ]
    return [*lines[:_SHOWN], *more, *_same_names(marked.file, entries), *repeated]


def _problems_of_count(marked: MarkedYaml) -> list[Problem]:
    if "nc" not in marked.content:
        return []
    count, place = marked.content["nc"], marked.place("nc")
    if (whole := _whole(count)) is not None and (whole > 0 or marked.content.get("names") is not None):
        return []
    if isinstance(count, (list, dict)):
        found = f"{place}: is a list of names where the number of classes belongs"
        instead = f"write {_line(count)} and leave nc out" if not marked.content.get("names") else "leave the line out"
        return [Problem("data.nc", found, instead)]
    found = f"{place}: is empty" if count is None else f"{place}: is {count!r}"
    return [Problem("data.nc", found, "write the number of classes, or leave the line out")]


def _whole(count: Any) -> int | None:
    """The number of classes; as Ultralytics, text and decimals count if they are whole."""
    try:
        return int(float(count)) if float(count) == int(float(count)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def _no_names(marked: MarkedYaml) -> Problem:
    keys = [key for key in marked.content if isinstance(key, str)]
    near = [key for key in keys if key.lower() in _OTHER_WORDS or key.lower() == "names"]
    near = near or difflib.get_close_matches("names", keys, n=1)
    if near:
        value = marked.content[near[0]]
        instead = f"write {_line(value)}" if isinstance(value, (list, dict)) and value else "write names: there"
        return Problem("data.names", f"missing; {marked.place(near[0])} says {near[0]}:", instead)
    found = f"{marked.place('names')}: is empty" if "names" in marked.content else f"missing in {marked.file}"
    return Problem("data.names", found, f"list the classes: {_EXAMPLE}")


def _no_list(marked: MarkedYaml, names: Any) -> Problem:
    place = marked.place("names")
    if isinstance(names, int) and not isinstance(names, bool):
        return Problem("data.names", f"{place}: is the number {names}", f"write nc: {names}, or list the names")
    if isinstance(names, str):
        for file in (marked.file.parent / names, Path(names)):
            if file.is_file() and (lines := lines_of_file(file)):
                found = f"{place}: is the path of a file; YAML wants the names themselves"
                return Problem("data.names", found, f"write {_line(lines)}")
        return Problem("data.names", f"{place}: is the text {names!r}, not a list", f"write {_line(_split(names))}")
    return Problem("data.names", f"{place}: is {names!r}", f"list the classes: {_EXAMPLE}")


def _split(names: str) -> list[str] | dict[int, str]:
    """The names that a text was meant to be: with commas, with blanks, or as `0:cat 1:dog`."""
    entries = [entry.strip(" \t'\"\\") for entry in names.strip("\\[]{}()").split("," if "," in names else None)]
    numbered = re.findall(r"(\d+)\s*[:\s]\s*(\S+)", names)
    if numbered and "".join(map("".join, numbered)) == re.sub(r"[:\s]", "", names):
        return {int(index): name for index, name in numbered}
    return [entry for entry in entries if entry]


def lines_of_file(file: Path) -> list[str]:
    """Names from Darknet's .names or a classes.txt, one a line; none if it cannot be read."""
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        return []


def _problem_of_ids(marked: MarkedYaml, names: dict[Any, Any]) -> Problem | None:
    place, count, ids = marked.place("names"), len(names), list[int]()
    for key in names:
        try:
            ids.append(int(key))
        except (TypeError, ValueError, OverflowError):
            return _no_ids(place, names, key)
    if sorted(ids) == list(range(count)):
        return None
    if repeated := sorted({index for index in ids if ids.count(index) > 1}):
        return Problem("data.names", f"{place}: two entries have the id {repeated[0]}", "give each class its own id")
    values = [str(name) for name in names.values()]
    if sorted(ids) == list(range(1, count + 1)):
        found = f"{place}: the ids are 1 … {count}; Ultralytics counts from 0"
        ordered = [name for _, name in sorted(zip(ids, values, strict=True))]
        return Problem("data.names", found, f"write {_line(ordered)}, and count from 0 in the label files too")
    if min(ids) < 0:
        return Problem("data.names", f"{place}: has the id {min(ids)}", f"write the ids 0 … {count - 1}")
    absent = sorted(set(range(max(ids))) - set(ids))
    shown = ", ".join(map(str, absent[:10])) + (", …" if len(absent) > 10 else "")
    found = f"{place}: has {count} entries with ids up to {max(ids)}; not there: {shown}"
    instead = f"add a line for each id that is not there ({absent[0]}: unused), or write the ids 0 … {count - 1}"
    return Problem("data.names", found, f"{instead} here and in the label files")


def _no_ids(place: str, names: dict[Any, Any], wrong: Any) -> Problem:
    values = list(names.values())
    if all(isinstance(value, int) for value in values) and len(set(values)) == len(values):
        found = f"{place}: is written name: id, as in {next(iter(names))}: {values[0]}; YAML wants id: name"
        turned = {value: str(key) for key, value in sorted(names.items(), key=lambda pair: int(pair[1]))}
        return Problem("data.names", found, f"write {_line(turned)}")
    found = f"{place}: has {wrong!r} where an id belongs"
    plain = [str(key) if value is None else str(value) for key, value in names.items()]
    return Problem("data.names", found, f"write {_line(plain)}")


def _remark_on_name(file: Path, index: int, node: yaml.Node) -> Iterator[str]:
    value = value_of(node)
    if not isinstance(node, yaml.ScalarNode):
        alone = next(iter(value.values())) if isinstance(value, dict) and len(value) == 1 else None
        instead = f"write {alone}" if alone is not None else "write one name"
        yield f"{file}:{line_of(node)}: class {index} is a list or mapping and gets the name {value}; {instead}"
    elif not isinstance(value, str) and not node.value:
        yield f"{file}:{line_of(node)}: class {index} has no name and gets {value}; write one"
    elif not isinstance(value, str) and str(value) != node.value:
        kept = f'"{node.value}"'
        yield f"{file}:{line_of(node)}: class {index}, {node.value} without quotes, gets the name {value}; write {kept}"


def _same_names(file: Path, entries: list[tuple[int, yaml.Node]]) -> Iterator[str]:
    by_name: dict[str, dict[int, int]] = {}  # lines by class id
    for index, node in entries:
        by_name.setdefault(str(value_of(node)), {})[index] = line_of(node)
    for name, lines in by_name.items():
        if len(lines) > 1:
            ids, numbers = (", ".join(map(str, part)) for part in (lines, dict.fromkeys(lines.values())))
            yield f"{file}:{numbers}: classes {ids} are all named {name}; they are trained as {len(lines)} classes"


def _line(names: Any) -> str:
    """A line `names: …` for a YAML file, quoted where YAML wants it."""
    if isinstance(names, list) and len(names) > _PROPOSED:
        return f"names: [{names[0]}, {names[1]}, …], {len(names)} names"
    if isinstance(names, dict) and len(names) > _PROPOSED:
        first = ", ".join(f"{key}: {name}" for key, name in list(names.items())[:2])
        return f"names: {{{first}, …}}, {len(names)} names"
    text = yaml.safe_dump(names, default_flow_style=True, width=2**20, allow_unicode=True, sort_keys=False)
    return f"names: {text.strip()}"
