"""What is wrong with recipes and group files of one's own, told from the files once Hydra has refused them.

Hydra tells the first trouble only, in its own words and without a line. Asked after that, this reads the files that
were chosen (and those that they name) and tells all that can be told, with file and line and the line to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from yoloscale.config.compose.catalog import Catalog, read_catalog
from yoloscale.config.compose.refusals import advice
from yoloscale.config.keys import FREE, describe, is_group, known, nearest, nearest_keys
from yoloscale.config.kinds import KINDS, TRAIN
from yoloscale.errors import Problem
from yoloscale.system.formatting import yaml_cure

GLOBAL = "# @package _global_"
_PACKAGE = re.compile(r"^#\s*@package\s+(\S+)", re.MULTILINE)
_EXPERIMENT = "experiment"
_PLUGINS = {
    "launcher": "leave it out: Hydra's launchers start nothing here; `- override /cluster: slurm` submits",
    "sweeper": "leave it out: write `- override /sweep: tpe` and what is searched below sweep: params:, then train -m",
}
_WITH_VALUES = ("sweep.params.",)  # mappings of the schema that hold any key


@dataclass(frozen=True)
class GroupFile:
    """A YAML file of a config group, such as experiment/."""

    group: str
    file: Path

    @property
    def name(self) -> str:
        """As it is named to the person: below the working folder without that, else absolute."""
        here = Path.cwd()
        return str(self.file.relative_to(here) if self.file.is_relative_to(here) else self.file)


def problems(
    folders: Sequence[Path], overrides: Iterable[str], does_take: Callable[[str, Any], bool], kind: str = TRAIN
) -> list[Problem]:
    """All that is wrong with the chosen files in `folders`, the first of which is ours and is taken to be right.

    Args:
        overrides: in Hydra's grammar, as it composed with them.
        does_take: whether a key of the schema takes a value.
        kind: of the run that is composed.
    """
    reader = _Reader(read_catalog([*folders], kind), folders[1:], does_take)
    for group, option in _chosen(overrides):
        reader.read(group, option)
    return reader.problems


def _chosen(overrides: Iterable[str]) -> Iterator[tuple[str, str]]:
    parser = OverridesParser.create()
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException:
            continue  # told where the command line is checked
        value = None if override.is_delete() or override.is_sweep_override() else override.value()
        for option in value if isinstance(value, list) else [value]:
            if isinstance(option, str):
                yield override.key_or_group, option


class _Reader:
    """Reads each file once."""

    def __init__(self, catalog: Catalog, own: Sequence[Path], does_take: Callable[[str, Any], bool]) -> None:
        self.problems: list[Problem] = []
        self._catalog, self._own, self._does_take = catalog, own, does_take
        self._kind = catalog.kind
        self._seen = set[Path]()

    def read(self, group: str, option: str) -> None:
        """Look at an option of a group, if a person's own folder has it."""
        for folder in self._own:
            file = folder / group / f"{option.removesuffix('.yaml')}.yaml"
            if file.is_file() and file not in self._seen:
                self._seen.add(file)
                self._read(GroupFile(group, file))

    def _read(self, group_file: GroupFile) -> None:
        text = group_file.file.read_text(encoding="utf-8", errors="replace")
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
            reason = getattr(error, "problem", None) or "cannot be read"
            self._tell(group_file, line, f"no YAML: {reason}", yaml_cure(reason))
            return
        if not isinstance(root, yaml.MappingNode):
            if root is not None:
                self._tell(group_file, _line(root), "no keys with values", "write key: value lines, like epochs: 100")
            return
        package = _PACKAGE.search(text)
        is_global = package is not None and package[1] == "_global_"
        if group_file.group == _EXPERIMENT and not is_global:
            found = f"its keys go below {_EXPERIMENT}:, where nobody reads them"
            self._tell(group_file, 1, found, f"write {GLOBAL} as the first line")
        for key, value in root.value:
            if key.value == "defaults":
                self._read_defaults(group_file, value)
            elif is_global or group_file.group == _EXPERIMENT:
                self._read_key(group_file, "", key, value)
            elif package is None:
                self._read_key(group_file, f"{group_file.group}.", key, value)

    def _read_defaults(self, group_file: GroupFile, defaults: yaml.Node) -> None:
        if not isinstance(defaults, yaml.SequenceNode):
            instead = "write a list, each entry like `- override /model: yolo26n`"
            self._tell(group_file, _line(defaults), "defaults: is no list", instead)
            return
        for entry in defaults.value:
            if isinstance(entry, yaml.MappingNode) and entry.value:
                (key, value), *_ = entry.value
                for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self._read_default(group_file, _line(entry), key.value, each)
            elif isinstance(entry, yaml.ScalarNode) and entry.value != "_self_":
                self._read_neighbour(group_file, _line(entry), entry.value)

    def _read_default(self, group_file: GroupFile, line: int, key: str, value: yaml.Node) -> None:
        words = key.partition("@")[0].split()
        path, option = words[-1] if words else "", value.value if isinstance(value, yaml.ScalarNode) else ""
        group = path.strip("/")
        written = f"- {key}: {option}"
        if (plugin := _PLUGINS.get(group.removeprefix("hydra/"))) and group.startswith("hydra/"):
            self._tell(group_file, line, written, plugin)
        elif group in self._catalog.shipped:
            self._read_choice(group_file, line, written, words, group, option)
        elif group == group_file.group or f"{group_file.group}/{group}" in self._catalog.groups:
            self.read(group, option)
        elif not group.startswith("hydra") and group not in self._catalog.groups and "optional" not in words:
            near = nearest(group, self._catalog.shipped)
            instead = f"did you mean /{near[0]}?" if near else f"groups: {', '.join(sorted(self._catalog.shipped))}"
            self._tell(group_file, line, f"{written}: there is no such group", instead)

    def _read_choice(
        self, group_file: GroupFile, line: int, written: str, words: Sequence[str], group: str, option: str
    ) -> None:
        """A choice of a group that every config has already, so that it can only be overridden."""
        stem = option.removesuffix(".yaml")
        choice = self._catalog.option(group, stem)
        is_none = stem in ("null", "~", "")
        if choice is None and not is_none and "$" not in option and "optional" not in words:
            near = nearest(stem, self._catalog.groups[group])
            instead = (
                f"write `- override /{group}: {near[0]}`"
                if near
                else f"`yoloscale {KINDS[self._kind].verb} {group}=` lists them"
            )
            if group in ("model", "data"):
                instead += f"; a {'file' if group == 'model' else 'dataset'} of your own: {_custom(group, option)}"
            self._tell(group_file, line, f"{written}: there is no such {group}", instead)
        elif "override" not in words or not words[-1].startswith("/"):
            found = f"{written}: every config has a {group} already" if "override" not in words else written
            self._tell(group_file, line, found, f"write `- override /{group}: {'null' if is_none else stem}`")
        if choice is not None:
            self.read(group, choice)

    def _read_neighbour(self, group_file: GroupFile, line: int, word: str) -> None:
        """An entry without a colon: a file of the same group, or of the one that it names."""
        stem = word.strip("/").removesuffix(".yaml")
        path = stem if word.startswith("/") or "/" in stem else f"{group_file.group}/{stem}"
        group, _, option = path.rpartition("/")
        if self._catalog.option(group, option) is None:
            near = nearest(option, self._catalog.groups.get(group, ()))
            instead = f"did you mean {near[0]}?" if near else "write `- override /GROUP: NAME`"
            self._tell(group_file, line, f"- {word}: there is no {group}/{option}.yaml", instead)
        else:
            self.read(group, option)

    def _read_key(self, group_file: GroupFile, prefix: str, key: yaml.Node, value: yaml.Node) -> None:
        name, line = f"{prefix}{key.value}", _line(key)
        if name == "hydra":
            for inner_key, _ in value.value if isinstance(value, yaml.MappingNode) else ():
                if inner_key.value in _PLUGINS:
                    self._tell(group_file, _line(inner_key), f"hydra: {inner_key.value}:", _PLUGINS[inner_key.value])
        elif name.startswith((*FREE, *_WITH_VALUES)) or f"{name}." in (*FREE, *_WITH_VALUES):
            return
        elif name not in (keys := known(self._kind)):
            leaves = [key for key in keys if not is_group(key, self._kind)]
            instead = advice(name, self._kind) or nearest_keys(name, leaves, self._kind)
            self._tell(group_file, line, f"{name}: no such key", instead)
        elif is_group(name, self._kind) and isinstance(value, yaml.MappingNode):
            for inner_key, inner in value.value:
                self._read_key(group_file, f"{name}.", inner_key, inner)
        elif is_group(name, self._kind) and isinstance(value, yaml.ScalarNode) and value.value not in ("null", "~", ""):
            self._read_text_of_group(group_file, line, name, value.value)
        elif not is_group(name, self._kind):
            self._read_value(group_file, line, name, value)

    def _read_value(self, group_file: GroupFile, line: int, name: str, value: yaml.Node) -> None:
        try:
            plain = yaml.constructor.SafeConstructor().construct_object(value, deep=True)
        except yaml.YAMLError as error:  # a tag of another program
            reason = getattr(error, "problem", None) or "cannot be read"
            self._tell(group_file, _line(value), f"{name}: no value: {reason}", f"write {describe(name, self._kind)}")
            return
        except ValueError:  # a date of a 13th month, which Hydra takes as text
            plain = value.value
        if not self._does_take(name, plain):
            self._tell(group_file, line, f"{name}: {plain!r}", f"write {describe(name, self._kind)}")

    def _read_text_of_group(self, group_file: GroupFile, line: int, name: str, text: str) -> None:
        option = self._catalog.option(name, text.removesuffix(".yaml")) if name in self._catalog.shipped else None
        if option is not None:
            instead = f"write `- override /{name}: {option}` below defaults: (at the top of the file)"
        elif name in ("model", "data"):
            instead = _custom(name, text)
        else:
            instead = f"write {describe(name, self._kind)} ({name}.KEY), or `- override /{name}: NAME` below defaults:"
        self._tell(group_file, line, f"{name}: {text!r}, where {name} has keys", instead)

    def _tell(self, group_file: GroupFile, line: int, found: str, instead: str) -> None:
        self.problems.append(Problem(f"{group_file.name}:{line}", found, instead))


def _custom(group: str, text: str) -> str:
    """The lines that name a model or dataset of one's own in a recipe."""
    key = "source" if group == "data" else "weights" if Path(text).suffix == ".pt" else "architecture"
    line = f"{group}: {{name: {Path(text).stem}, {key}: {text}}}"
    return f"write `- override /{group}: custom` below defaults:, and the line `{line}`"


def _line(node: yaml.Node) -> int:
    """From 1."""
    return int(node.start_mark.line) + 1
