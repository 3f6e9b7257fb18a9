"""A YAML file as Ultralytics reads it, with the line of everything that is written in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREADABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")


@dataclass(frozen=True)
class Repeated:
    """A key that one mapping has more than once; YAML keeps the last."""

    key: str
    mapping: str  # the key of that mapping; empty at the top
    first_line: int
    last_line: int


@dataclass(frozen=True)
class MarkedYaml:
    """A mapping at the top of a YAML file, and the nodes it was made from."""

    file: Path
    content: dict[Any, Any]
    root: yaml.MappingNode | None  # None: an empty file
    repeated: tuple[Repeated, ...] = ()

    def node(self, key: str) -> yaml.Node | None:
        """The node of a key's value; None where the key is absent."""
        pair = self._pair(key)
        return pair[1] if pair else None

    def place(self, key: str, index: int | None = None) -> str:
        """`file:line` of a key, or of an entry of its list; only the file where it is absent."""
        pair = self._pair(key)
        if pair is None:
            return str(self.file)
        node: yaml.Node = pair[0]
        if index is not None and isinstance(pair[1], yaml.SequenceNode) and index < len(pair[1].value):
            node = pair[1].value[index]
        return f"{self.file}:{line_of(node)}"

    def _pair(self, key: str) -> tuple[yaml.Node, yaml.Node] | None:
        pairs = self.root.value if self.root else []
        return next(((name, value) for name, value in reversed(pairs) if name.value == key), None)


def line_of(node: yaml.Node) -> int:
    """The line where a node begins, from 1."""
    return int(node.start_mark.line) + 1


def value_of(node: yaml.Node) -> Any:
    """What YAML makes of one node."""
    return yaml.constructor.SafeConstructor().construct_object(node, deep=True)


def read_text(file: Path) -> str:
    """The text of a YAML file: bytes that are not UTF-8 are left out, as Ultralytics leaves them out."""
    return file.read_text(encoding="utf-8", errors="ignore")


def load(file: Path, text: str) -> MarkedYaml | Any:
    """Parse `text`; where it does not parse, once more without characters that YAML does not allow.

    Returns what YAML made of it where that is no mapping. Raises yaml.YAMLError, or ValueError for a value such as the
    date 2024-13-45.
    """
    try:
        return _load(file, text)
    except (yaml.YAMLError, ValueError):
        readable = _UNREADABLE.sub("", text)
        if readable == text:
            raise
    return _load(file, readable)


def scalars(node: yaml.Node | None, depth: int = 5) -> Iterator[yaml.ScalarNode]:
    """Every single value at or below a node, in the order of the file; anchors are not followed for ever."""
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.CollectionNode) and depth:
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                yield from scalars(part, depth - 1)


def compose(text: str) -> yaml.Node | None:
    """The nodes of a text whose values need not be sound. Raises yaml.YAMLError."""
    node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    return node


def _load(file: Path, text: str) -> MarkedYaml | Any:
    loader = _LOADER(text)
    try:
        root = loader.get_single_node()
        repeated = tuple(_repeated(root))  # before `<<` is resolved: a key may replace one that it brings
        content = None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()
    if content is None:
        return MarkedYaml(file, {}, None)
    if not isinstance(content, dict):
        return content
    if "None" in content.values():  # as Ultralytics: a person's word for nothing
        content = {key: None if value == "None" else value for key, value in content.items()}
    return MarkedYaml(file, content, root, repeated)


def _repeated(root: yaml.Node | None) -> Iterator[Repeated]:
    if not isinstance(root, yaml.MappingNode):
        return
    below = [(str(name.value), node) for name, node in root.value if isinstance(node, yaml.MappingNode)]
    for mapping, node in [("", root), *below]:
        lines: dict[tuple[str, str], list[int]] = {}
        for name, _ in node.value:
            if isinstance(name, yaml.ScalarNode):
                lines.setdefault((name.tag, name.value), []).append(line_of(name))
        for (_, key), places in lines.items():
            if len(places) > 1 and key != "<<":
                yield Repeated(key, mapping, places[0], places[-1])
