"""What `yoloscale bench train` was asked to measure: the command line taken apart, composed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.schema import Config

PREFIX = "bench."


@dataclass
class Settings:
    """The benchmark's own keys."""

    repeats: int = 3
    yolo: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Typed:
    """A command line, taken apart."""

    settings: Settings
    as_json: bool
    is_dry: bool
    rest: list[str]


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    config: Config  # resolved: what our side does on this machine
    amp: bool | str  # as it was typed: what `yolo` gets
    tokens: list[str]
    folder: Path
    yolo: Mapping[str, Any]  # arguments for `yolo` alone


def take_apart(tokens: list[str]) -> Typed:
    """Tell the benchmark's own keys and flags from those of train. Raises ConfigError."""
    rest, own = list[str](), list[str]()
    output, is_dry = "text", False
    waiting = list(tokens)
    while waiting:
        token = waiting.pop(0)
        if token in ("-o", "--output"):
            output = waiting.pop(0) if waiting else ""
        elif token.startswith("--output="):
            output = token.partition("=")[2]
        elif token == "--dry-run":
            is_dry = True
        elif token.startswith(PREFIX):
            own.append(token.removeprefix(PREFIX))
        else:
            rest.append(token)
    if output not in ("text", "json"):
        raise ConfigError(Problem("-o", f"{output!r}", "write -o text or -o json"))
    return Typed(_settings(own), output == "json", is_dry, rest)


def _settings(own: list[str]) -> Settings:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        merged = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Settings), OmegaConf.from_dotlist(own)))
    except OmegaConfBaseException as error:
        said = str(error).splitlines()[0]
        raise ConfigError(Problem("bench", said, "write bench.repeats=3, bench.yolo=[key=value,…]")) from error
    assert isinstance(merged, Settings)
    problems = []
    if merged.repeats < 1:
        problems.append(Problem("bench.repeats", f"{merged.repeats}", "write a whole number from 1"))
    problems += [
        Problem("bench.yolo", f"{word!r} has no `=`", "write bench.yolo=[key=value,…]")
        for word in merged.yolo
        if "=" not in word
    ]
    if problems:
        raise ConfigError(problems)
    return merged


def composed_tokens(tokens: list[str]) -> list[str]:
    """What is composed: over bench.yaml, unless another primary config was typed."""
    from yoloscale.launch.bench_commands import primary_config

    return [*primary_config(tokens), *tokens]


def make_plan(given: Typed) -> Plan:
    """Compose and check, and for both sides say the same. Starts and fetches nothing. Raises ConfigError."""
    from yoloscale.config.compose import compose
    from yoloscale.launch.claim import default_name
    from yoloscale.launch.configure import configure

    tokens = composed_tokens(given.rest)
    config = configure(tokens)
    problems = []
    if config.cluster.nodes > 1:
        problems.append(Problem("cluster.nodes", f"{config.cluster.nodes}", "`yolo` knows one node: cluster.nodes=1"))
    if config.batch < 1:
        problems.append(Problem("batch", f"{config.batch}", "write a number, so that all sides have the same"))
    if config.time:
        problems.append(Problem("time", f"{config.time}", "write epochs=, so that all sides do the same"))
    if problems:
        raise ConfigError(problems)
    folder = _free_folder(Path(config.paths.runs).expanduser() / "bench", config.name or default_name(config))
    extra = dict(word.split("=", 1) for word in given.settings.yolo)
    return Plan(config, compose(tokens).amp, given.rest, folder.absolute(), extra)


def _free_folder(parent: Path, name: str) -> Path:
    """`name`, else `name-2`, `name-3`, …"""
    number = 1
    while (folder := parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder
