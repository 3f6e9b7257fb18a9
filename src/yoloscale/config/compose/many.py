"""Many configs that have most in common: Hydra composes each set of groups once, plain keys are put in after it.

Hydra takes a tenth of a second for one composition and a sweep may have a thousand points. It puts plain keys into the
composed tree last, in the order typed; so a tree that was composed without them, and gets them then, is the same.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from yoloscale.config.check import augmentations
from yoloscale.config.compose import command_line, flags
from yoloscale.config.compose.catalog import Catalog, read_catalog
from yoloscale.config.compose.hydra import (
    ConfigSources,
    TaskOf,
    check,
    compose,
    compose_tree,
    config_sources,
    finished,
    is_own_name,
)
from yoloscale.config.compose.words import is_flat
from yoloscale.config.keys import is_group, known
from yoloscale.config.schema import Config
from yoloscale.config.typed import build
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.remarks import Say, once, silent


def compose_each(
    argvs: Iterable[Sequence[str]], task_of: TaskOf | None = None, say: Say = silent
) -> list[Config | ConfigError]:
    """For each argv the config that `compose(argv, task_of)` returns, or the ConfigError that it raises.

    What is read from disk (group files, `.pt` files) is read once for all of them; `say` gets each remark once.
    """
    composer = _Composer(None if task_of is None else cache(task_of), once(say))
    return [composer.compose(argv) for argv in argvs]


@dataclasses.dataclass(frozen=True)
class _Checked:
    """One argument in Hydra's grammar, and what is wrong with it."""

    overrides: tuple[str, ...]
    rewriting: tuple[Problem, ...]
    checking: tuple[Problem, ...]


@dataclasses.dataclass(frozen=True)
class _Base:
    """A tree that takes the values of one set of plain keys, over and over; `plain` unless it has interpolations."""

    tree: DictConfig
    plain: dict[str, Any] | None


class _UnfitError(Exception):
    """A tree does not take some of the plain arguments; `key` says which tree, and which."""

    def __init__(self, key: tuple[str, ...]) -> None:
        super().__init__(" ".join(key))
        self.key = key


class _Composer:
    """Remembers every piece of work that another argv may need again."""

    def __init__(self, task_of: TaskOf | None, say: Say) -> None:
        self._task_of, self._say = task_of, say
        self._is_own, self._is_flat = cache(is_own_name), cache(is_flat)
        self._file_of_augmentations = cache(augmentations.read)
        self._parse = cache(OverridesParser.create().parse_override)
        self._sources: dict[tuple[tuple[str, str], ...], tuple[ConfigSources, Catalog]] = {}
        self._checked: dict[tuple[int, str], _Checked] = {}
        self._trees: dict[tuple[str, ...], DictConfig | ConfigError] = {}
        self._refusals: dict[tuple[str, ...], ConfigError] = {}
        self._bases: dict[tuple[tuple[str, ...], tuple[str, ...]], _Base] = {}

    def compose(self, argv: Sequence[str]) -> Config | ConfigError:
        try:
            given = flags.split(argv, self._is_flat)
            sources, catalog = self._read(given)
            checked = [self._check(token, catalog) for token in given.tokens]
            if problems := [p for one in checked for p in one.rewriting] + [p for one in checked for p in one.checking]:
                return ConfigError(problems)
            overrides = [*sources.search_path, *(override for one in checked for override in one.overrides)]
            plain = self._compose(sources, catalog, overrides)
            if plain is None:
                return compose(argv, self._task_of, self._say, in_sweep=True)
            return build(Config, finished(plain, overrides, self._task_of, self._is_own, self._read_augmentations))
        except _UnfitError as error:
            return self._refused(argv, error.key)
        except ConfigError as error:
            return error

    def _refused(self, argv: Sequence[str], key: tuple[str, ...]) -> Config | ConfigError:
        """What Hydra says of arguments that a tree does not take: the same of every argv that has them."""
        if key not in self._refusals:
            try:
                return compose(argv, self._task_of, self._say, in_sweep=True)
            except ConfigError as error:
                self._refusals[key] = error
        return self._refusals[key]

    def _read_augmentations(self, value: Any) -> Any:
        return self._file_of_augmentations(value) if isinstance(value, str) else augmentations.read(value)

    def _read(self, given: flags.Flags) -> tuple[ConfigSources, Catalog]:
        key = tuple(given.given.items())
        if key not in self._sources:
            sources = config_sources(given)
            self._sources[key] = sources, read_catalog(sources.folders)
        return self._sources[key]

    def _check(self, token: str, catalog: Catalog) -> _Checked:
        key = id(catalog), token
        if key not in self._checked:
            overrides, problems = command_line.rewrite([token], catalog, self._say)
            self._checked[key] = _Checked(tuple(overrides), tuple(problems), tuple(check(overrides)))
        return self._checked[key]

    def _compose(self, sources: ConfigSources, catalog: Catalog, overrides: list[str]) -> dict[str, Any] | None:
        """The resolved tree; None where only Hydra itself is sure to do right. Raises ConfigError, or _UnfitError."""
        plain, other = list[Override](), list[Override]()
        for override in map(self._parse, overrides):
            (plain if _is_plain(override) else other).append(override)
        if any(_may_meddle(override, plain, catalog) for override in other):
            return None
        texts = (sources.config_name, *(str(override.input_line) for override in other))
        base = self._base(texts, tuple(override.key_or_group for override in plain))
        values, unfit = dict[str, Any](), list[str]()
        for override in plain:
            try:
                OmegaConf.update(base.tree, override.key_or_group, override.value(), merge=True)
                values[override.key_or_group] = _container(OmegaConf.select(base.tree, override.key_or_group))
            except (OmegaConfBaseException, AssertionError):
                unfit.append(str(override.input_line))
        if unfit:  # Hydra's own words for it are known to `compose`
            raise _UnfitError((*texts, *unfit))
        if base.plain is not None:
            return _with_values(base.plain, values)
        try:
            return cast("dict[str, Any]", OmegaConf.to_container(base.tree, resolve=True))
        except OmegaConfBaseException:
            return None

    def _base(self, texts: tuple[str, ...], keys: tuple[str, ...]) -> _Base:
        if (texts, keys) not in self._bases:
            tree = copy.deepcopy(self._tree(texts))
            plain = cast("dict[str, Any]", OmegaConf.to_container(tree, resolve=False))
            self._bases[texts, keys] = _Base(tree, None if _interpolates(plain) else plain)
        return self._bases[texts, keys]

    def _tree(self, texts: tuple[str, ...]) -> DictConfig:
        if texts not in self._trees:
            try:
                self._trees[texts] = compose_tree(texts[0], list(texts[1:]), say=self._say)
            except ConfigError as error:
                self._trees[texts] = error
        found = self._trees[texts]
        if isinstance(found, ConfigError):
            raise found
        return found


def _is_plain(override: Override) -> bool:
    """Whether it sets one key of the schema to a value that neither merges with another nor refers to one."""
    key = override.key_or_group
    if override.type is not OverrideType.CHANGE or override.package is not None or key not in known() or is_group(key):
        return False
    value = override.value()
    return not override.is_sweep_override() and not isinstance(value, dict) and "${" not in str(value)


def _may_meddle(override: Override, plain: Sequence[Override], catalog: Catalog) -> bool:
    """Whether it is no choice of a group and touches a plain key, so that it matters which of them comes last."""
    key = override.key_or_group
    if override.package is not None:
        return True
    if key in catalog.groups and not isinstance(override.value(), dict):
        return False
    return any(other.key_or_group == key or other.key_or_group.startswith(f"{key}.") for other in plain)


def _interpolates(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_interpolates, value.values()))
    if isinstance(value, list):
        return any(map(_interpolates, value))
    return isinstance(value, str) and "${" in value


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return list(map(_copied, value)) if isinstance(value, list) else value


def _container(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _with_values(plain: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """A copy with some dotted keys set."""
    made: dict[str, Any] = _copied(plain)
    for key, value in values.items():
        *parents, last = key.split(".")
        inner = made
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    return made
