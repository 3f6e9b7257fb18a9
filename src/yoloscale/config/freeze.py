"""RUN/config.yaml: written complete by the launcher, read by every rank. No Hydra."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import yaml
from omegaconf.errors import OmegaConfBaseException

from yoloscale.config.addresses import hide
from yoloscale.config.kinds import kind_of
from yoloscale.config.schema import Config
from yoloscale.config.typed import build, from_plain, to_plain
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.files import write_whole

Entries = dict[tuple[str, str], str]
Sections = dict[str, dict[str, Any]]

# libyaml's, where PyYAML was built with it: the same text in a fifth of the time
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SECTION = re.compile(r"^[^\s#-].*\n(?:[ -].*\n|\n)*", re.MULTILINE)  # a key at the root with all that is below it
_ID = re.compile(rb"^id:[ \t]*['\"]?([^'\"\s#]+)", re.MULTILINE)


def new_id() -> str:
    """An id for a run that is frozen for the first time: 12 hexadecimal digits, which no other run has."""
    return uuid.uuid4().hex[:12]


def id_in(content: bytes) -> str:
    """The run's id in the content of its config.yaml, read without the rest; empty in one of before there were ids."""
    match = _ID.search(content)
    return "" if match is None or match[1] == b"null" else match[1].decode(errors="replace")


def freeze(config: Config, path: Path) -> None:
    """Write the config as YAML, whole or not at all.

    `paths.runs` is left out: a run holds no path to itself; `sweep`, too, which is of all points and not of one; and
    `id` where there is none, and the kind of a run that trains.
    """
    write_whole(path, "".join(entries(config).values()), synced=True)


def entries(config: Config, cache: Entries | None = None) -> dict[str, str]:
    """The YAML of each key at the root; put together they are the file.

    `cache` remembers entries, which most configs of a sweep have in common.
    """
    plain = to_plain(config)
    del plain["paths"]["runs"], plain["sweep"]
    if plain["id"] is None:
        del plain["id"]
    if config.kind != Config.kind:
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


def load_own(path: Path, cache: Sections | None = None) -> Config:
    """Read a config that was frozen here: as `load`, without a check of each value, at a twentieth of its time.

    `cache` remembers the sections at the root, which most configs of a sweep have in common: what is not to be changed
    in place then, lists and mappings of values, is shared by them.
    """
    try:
        text = path.read_text(encoding="utf-8")
        plain = parse(text) if cache is None else _parsed(text, cache)
        return _without_secrets(build(_schema(plain), plain))
    except (OSError, yaml.YAMLError, ValueError, TypeError):
        return load(path)


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


def load(path: Path, content: bytes | None = None) -> Config:
    """Read a frozen config; what is not frozen has its default. Raises ConfigError if the file is absent or damaged.

    `content`: that of the file, where it has been read.
    """
    try:
        plain = parse((path.read_bytes() if content is None else content).decode())
        return _without_secrets(from_plain(plain, _schema(plain)))
    except FileNotFoundError:
        instead = "give the folder of a run, one that holds config.yaml"
        raise ConfigError(Problem(str(path), "there is no such file", instead)) from None
    except (OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        found = f"not a config of this version: {str(error).splitlines()[0]}"
        raise ConfigError(Problem(str(path), found, "start the run again under a new name")) from error


def absent(path: Path) -> ConfigError:
    """The error of a config that is not there."""
    return ConfigError(
        Problem(str(path), "there is no such file", "give the folder of a run, one that holds config.yaml")
    )


def _schema(plain: Any) -> type[Config]:
    """The schema of a frozen config, whose kind is taken out. Raises ConfigError; ValueError for no mapping at all."""
    if not isinstance(plain, dict):
        raise ValueError("it holds no keys")
    return kind_of(str(plain.pop("kind", Config.kind))).load_schema()


def _without_secrets(config: Config) -> Config:
    """What versions before have frozen with the dataset's address is for who fetches it alone."""
    config.data.source = hide(config.data.source)
    return config
