"""RUN/config.yaml: written complete by the launcher, read by every rank. No Hydra."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any, TypeVar, overload

import yaml
from omegaconf.errors import OmegaConfBaseException

from yoloscale.config.addresses import hide
from yoloscale.config.kinds import TRAIN, kind_of
from yoloscale.config.schema import Config, RunConfig, ValConfig
from yoloscale.config.typed import build, from_plain, to_plain
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.files import write_whole

Entries = dict[tuple[str, str], str]
Sections = dict[str, dict[str, Any]]
_Run = TypeVar("_Run", bound=RunConfig)

# libyaml's, where PyYAML was built with it: the same text in a fifth of the time
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SECTION = re.compile(r"^[^\s#-].*\n(?:[ -].*\n|\n)*", re.MULTILINE)  # a key at the root with all that is below it
_KIND = re.compile(rb"kind:[ \t]*['\"]?(\w+)")  # the first key
_ID = re.compile(rb"^id:[ \t]*['\"]?([^'\"\s#]+)", re.MULTILINE)


def new_id() -> str:
    """An id for a run that is frozen for the first time: 12 hexadecimal digits, which no other run has."""
    return uuid.uuid4().hex[:12]


def id_in(content: bytes) -> str:
    """The run's id in the content of its config.yaml, read without the rest; empty in one of before there were ids."""
    match = _ID.search(content)
    return "" if match is None or match[1] == b"null" else match[1].decode(errors="replace")


def kind_in(content: bytes) -> str:
    """The run's kind in the content of its config.yaml, or the beginning of it, read without the rest."""
    match = _KIND.match(content)
    return TRAIN if match is None else match[1].decode(errors="replace")


def freeze(config: RunConfig, path: Path) -> None:
    """Write the config as YAML, whole or not at all.

    `paths.runs` is left out: a run holds no path to itself; `sweep`, too, which is of all points and not of one; and
    `id` where there is none, and the kind of a run that trains.
    """
    write_whole(path, "".join(entries(config).values()), synced=True)


def entries(config: RunConfig, cache: Entries | None = None) -> dict[str, str]:
    """The YAML of each key at the root; put together they are the file.

    `cache` remembers entries, which most configs of a sweep have in common.
    """
    plain = to_plain(config)
    del plain["paths"]["runs"]
    plain.pop("sweep", None)
    if plain["id"] is None:
        del plain["id"]
    if config.kind != TRAIN:
        plain = {"kind": config.kind, **plain}
    cache, texts = {} if cache is None else cache, {}
    for key, value in plain.items():
        entry = key, repr(value)
        if entry not in cache:
            cache[entry] = dump({key: value})
        texts[key] = cache[entry]
    return texts


def dump(content: Any) -> str:
    """YAML of plain data, keys in their order."""
    return yaml.dump(content, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)


def parse(text: str) -> Any:
    """Plain data from YAML. Raises YAMLError."""
    return yaml.load(text, Loader=_LOADER)


@overload
def load_own(path: Path, cache: Sections | None = None) -> Config: ...
@overload
def load_own(path: Path, cache: Sections | None = None, *, of: type[_Run]) -> _Run: ...
def load_own(path: Path, cache: Sections | None = None, *, of: Any = Config) -> Any:
    """Read a config that was frozen here: as `load`, without a check of each value, at a twentieth of its time.

    `cache` remembers the sections at the root, which most configs of a sweep have in common: what is not to be changed
    in place then, lists and mappings of values, is shared by them.
    """
    try:
        text = path.read_text(encoding="utf-8")
        plain = parse(text) if cache is None else _parsed(text, cache)
        return _without_secrets(_only(build(_schema(plain), plain), of, path))
    except (OSError, yaml.YAMLError, ValueError, TypeError):
        return load(path, of=of)


def _parsed(text: str, cache: Sections) -> dict[str, Any]:
    sections = _SECTION.findall(text)
    plain = dict[str, Any]()
    if "".join(sections) != text:  # edited by a person
        return {**parse(text)}
    for section in sections:
        if section not in cache:
            cache[section] = parse(section)
        plain.update(cache[section])
    return plain


@overload
def load(path: Path, content: bytes | None = None) -> Config: ...
@overload
def load(path: Path, content: bytes | None = None, *, of: type[_Run]) -> _Run: ...
def load(path: Path, content: bytes | None = None, *, of: Any = Config) -> Any:
    """Read a frozen config; what is not frozen has its default.

    Args:
        content: that of the file, where it has been read.
        of: the schema that it must be of, or inherit from: RunConfig takes every kind, Config those that train.

    Raises:
        ConfigError: the file is absent, damaged, or of another kind.
    """
    try:
        plain = parse((path.read_bytes() if content is None else content).decode())
        return _without_secrets(_only(from_plain(plain, _schema(plain)), of, path))
    except FileNotFoundError:
        raise absent(path) from None
    except (OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        found = f"not a config of this version: {str(error).splitlines()[0]}"
        raise ConfigError(Problem(str(path), found, "start the run again under a new name")) from error


def absent(path: Path) -> ConfigError:
    """The error of a config that is not there."""
    return ConfigError(
        Problem(str(path), "there is no such file", "give the folder of a run, one that holds config.yaml")
    )


def _schema(plain: Any) -> type[RunConfig]:
    """The schema of a frozen config, whose kind is taken out. Raises ConfigError; ValueError for no mapping at all."""
    if not isinstance(plain, dict):
        raise ValueError("it holds no keys")
    return kind_of(str(plain.pop("kind", TRAIN))).load_schema()


def _only(config: RunConfig, of: type[_Run], path: Path) -> _Run:
    """The config as one of a schema. Raises ConfigError."""
    if isinstance(config, of):
        return config
    wanted = of.kind or "another"
    found = f"a {config.kind} run, where a {wanted} run is wanted"
    raise ConfigError(Problem(str(path), found, f"give the folder of a {wanted} run"))


def _without_secrets(config: _Run) -> _Run:
    """What versions before have frozen with the dataset's address is for who fetches it alone."""
    if isinstance(config, (Config, ValConfig)):
        config.data.source = hide(config.data.source)
    return config
