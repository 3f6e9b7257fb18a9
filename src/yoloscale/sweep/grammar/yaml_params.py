"""Values to sweep over that YAML files give (`sweep.params`, Hydra's `hydra.sweeper.params`), as if they were typed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from yoloscale.config.addresses import hidden
from yoloscale.config.compose import command_line
from yoloscale.config.compose.catalog import Catalog
from yoloscale.config.compose.hydra import ConfigSources, check, compose_tree
from yoloscale.config.keys import LIST_LIKE, known
from yoloscale.config.quoting import quote, quote_text, unquote
from yoloscale.errors import ConfigError, Problem

PLACES = ("hydra.sweeper.params", "sweep.params")  # of a key that both have, the last counts
_TYPED = re.compile(r"\+{0,2}(?:sweep|hydra\.sweeper)\.params\.(.+)")
_WHERE_FROM = re.compile(r"\+{0,2}(?:sweep|experiment|hydra)(?:[./][\w./]+)?\s*=")
LISTS = LIST_LIKE | {"logger"}  # a comma within their values may be that of one value
_PLAIN_WORD = re.compile(r"[A-Za-z_][\w.-]*")


def with_params(
    tokens: Sequence[str], sources: ConfigSources, catalog: Catalog, is_swept: Callable[[str], bool]
) -> list[str]:
    """Arguments for what the YAML files sweep over, then those typed; `sweep.params.KEY=VALUES` counts to the first.

    `tokens` are those typed, without flags; `sources` is where configs are read, less arguments that have several
    values (`is_swept`), `catalog` the groups there. A key that is typed is left to that. Addresses of datasets come
    without their secrets. Raises ConfigError where a value is none to sweep over, or, if nothing that is typed has
    several values, where the files cannot be composed.
    """
    typed, direct = list[str](), dict[str, Any]()
    for token in tokens:
        if match := _TYPED.fullmatch(token.partition("=")[0].strip()):
            direct[match[1]] = unquote(token.partition("=")[2].strip())
        else:
            typed.append(token)
    params = {**_read(typed, sources, catalog, is_swept), **direct}
    names, written, problems = {_name(token) for token in typed}, list[str](), list[Problem]()
    for key, value in _flat(params):
        if value is None and key not in known() and _name(key) not in catalog.groups:
            instead = 'give it values; within braces those with commas need quotes: {model: "yolo26n,yolo26s"}'
            problems.append(Problem(f"sweep.params.{key}", "no such key, and no value", instead))
            continue
        try:
            written += [f"{key}={_text(key, value)}"] if _name(key) not in names else []
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return hidden([*written, *typed], is_swept=True)


def _read(
    typed: Sequence[str], sources: ConfigSources, catalog: Catalog, is_swept: Callable[[str], bool]
) -> dict[str, Any]:
    constant = [token for token in typed if not is_swept(token)]
    try:
        return _params(constant, sources, catalog)
    except ConfigError:
        if len(constant) == len(typed):
            raise
    # What is left does not go together without the swept part, `logger.wandb.tags=a` without `logger=wandb`, say.
    # The points are composed whole, so the problems of one are told there.
    try:
        return _params([token for token in constant if _WHERE_FROM.match(token)], sources, catalog)
    except ConfigError:
        if any(_name(token) == "sweep" for token in constant):
            raise
        return {}


def _params(tokens: Sequence[str], sources: ConfigSources, catalog: Catalog) -> dict[str, Any]:
    """The params of a config composed with these; keys may have several parts or be nested. Raises ConfigError."""
    overrides, problems = command_line.rewrite(tokens, catalog)
    if problems := problems + check(overrides):
        raise ConfigError(problems)
    tree = compose_tree(sources.config_name, [*sources.search_path, *overrides], with_hydra=True)
    params = dict[str, Any]()
    for place in PLACES:
        node = OmegaConf.select(tree, place)
        if isinstance(node, DictConfig):
            try:
                plain: Any = OmegaConf.to_container(node, resolve=True)
            except OmegaConfBaseException as error:
                reason = str(error).splitlines()[0]
                raise ConfigError(Problem(place, reason, "write a value, or a key that the config has")) from error
            params |= {str(key): value for key, value in plain.items()}
    return params


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys below others by their dotted names."""
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(key: str, value: Any) -> str:
    """A value of a YAML file as it would be typed after `-m`. Raises ConfigError where that is not clear."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, list) and value:
        elements = ",".join(map(_element, value))
        if _name(key) in LISTS and not any(item is None or isinstance(item, list) for item in value):
            instead = f'write "[{elements}]" for all points, or "choice({elements})" for a point each'
            found = f"{value}: one list, or a value for each point?"
            raise ConfigError(Problem(f"sweep.params.{key}", found, f"{instead}; of lists a list of lists"))
        return elements if len(value) > 1 or value == [None] else f"choice({elements})"  # which does not take null
    if isinstance(value, (str, list, Mapping)):
        instead = 'write values as after -m, like "0.001,0.01" or range(0,3), or a list'
        raise ConfigError(Problem(f"sweep.params.{key}", f"{value!r}: no values", instead))
    return quote(value)


def _element(value: Any) -> str:
    if isinstance(value, str):
        return value if _PLAIN_WORD.fullmatch(value) else quote_text(value)
    return quote(value)


def _name(token: str) -> str:
    """The key of an argument without the marks that Hydra has before and behind it."""
    return token.partition("=")[0].strip().lstrip("+").partition("@")[0]
