"""Many configs that have most in common: Hydra composes each set of groups once, plain keys are put in after it.

Hydra takes a tenth of a second for one composition and a sweep may have a thousand points. It puts plain keys into the
composed tree last, in the order typed; so a tree that was composed without them, and gets them then, is the same.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from functools import cache, reduce
from operator import getitem
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from yoloscale.config.check import augmentations
from yoloscale.config.compose import command_line, flags
from yoloscale.config.compose.catalog import Catalog, read_catalog
from yoloscale.config.compose.finishing import TaskOf, finished, is_own_name
from yoloscale.config.compose.hydra import ConfigSources, check, compose, compose_tree, config_sources
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


_Given = tuple[tuple[str, str], ...]  # flags with their values


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
        self._cached_sources, self._cached_check = cache(self._sources), cache(self._check)
        self._cached_tree, self._cached_base = cache(self._tree), cache(self._base)
        self._refusals: dict[tuple[str, ...], ConfigError] = {}

    def compose(self, argv: Sequence[str]) -> Config | ConfigError:
        try:
            line = flags.split(argv, self._is_flat)
            key = tuple(line.given.items())
            sources, catalog = self._cached_sources(key)
            checked = [self._cached_check(token, key) for token in line.tokens]
            problems = [problem for _, rewriting, _ in checked for problem in rewriting]
            problems += [problem for _, _, checking in checked for problem in checking]
            if problems:
                return ConfigError(problems)
            overrides = [*sources.search_path, *(override for each, *_ in checked for override in each)]
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

    def _sources(self, key: _Given) -> tuple[ConfigSources, Catalog]:
        sources = config_sources(flags.Flags(dict(key)))
        return sources, read_catalog(sources.folders)

    def _check(self, token: str, key: _Given) -> tuple[list[str], list[Problem], list[Problem]]:
        """One argument in Hydra's grammar, and what is wrong with it: as it is typed, and by the schema."""
        overrides, problems = command_line.rewrite([token], self._cached_sources(key)[1], self._say)
        return overrides, problems, check(overrides)

    def _compose(self, sources: ConfigSources, catalog: Catalog, overrides: list[str]) -> dict[str, Any] | None:
        """The resolved tree; None where only Hydra itself is sure to do right. Raises ConfigError, or _UnfitError."""
        plain, other = list[Override](), list[Override]()
        for override in map(self._parse, overrides):
            (plain if _is_plain(override) else other).append(override)
        if any(_may_meddle(override, plain, catalog) for override in other):
            return None
        texts = (sources.config_name, *(str(override.input_line) for override in other))
        base = self._cached_base(texts, tuple(override.key_or_group for override in plain))
        values, unfit = dict[str, Any](), list[str]()
        for override in plain:
            try:
                OmegaConf.update(base.tree, override.key_or_group, override.value(), merge=True)
                value = OmegaConf.select(base.tree, override.key_or_group)
                values[override.key_or_group] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
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
        """A tree for each set of `keys`: what was put into it for another one may not stay."""
        composed = self._cached_tree(texts)
        if isinstance(composed, ConfigError):
            raise composed
        tree = copy.deepcopy(composed)
        plain = cast("dict[str, Any]", OmegaConf.to_container(tree, resolve=False))
        return _Base(tree, None if _interpolates(plain) else plain)

    def _tree(self, texts: tuple[str, ...]) -> DictConfig | ConfigError:
        try:
            return compose_tree(texts[0], list(texts[1:]), say=self._say)
        except ConfigError as error:
            return error


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
    if isinstance(value, (dict, list)):
        return any(map(_interpolates, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and "${" in value


def _with_values(plain: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    copied = copy.deepcopy(plain)
    for key, value in values.items():
        *parents, last = key.split(".")
        reduce(getitem, parents, copied)[last] = value
    return copied
