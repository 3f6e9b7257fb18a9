"""What `yoloscale bench …` was asked to measure: the command line taken apart, composed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.files import first_free

PREFIX = "bench."
NEAR_STEP = 10  # of an epoch: what resuming at a later step is compared with


@dataclass
class Settings:
    """The keys of `bench train` alone."""

    repeats: int = 3
    yolo: list[str] = field(default_factory=list)

    def problems(self) -> list[Problem]:
        """What cannot be measured."""
        return [
            *at_least("repeats", self.repeats, 1),
            *(
                Problem("bench.yolo", f"{word!r} has no `=`", "write bench.yolo=[key=value,…]")
                for word in self.yolo
                if "=" not in word
            ),
        ]


@dataclass
class CheckpointSettings:
    """The keys of `bench checkpoint` alone."""

    checkpoints: int = 12
    repeats: int = 3
    far_step: int = 10_000

    def problems(self) -> list[Problem]:
        """What cannot be measured."""
        return [
            *at_least("checkpoints", self.checkpoints, 1),
            *at_least("repeats", self.repeats, 1),
            *at_least("far_step", self.far_step, NEAR_STEP + 1),
        ]


S = TypeVar("S", Settings, CheckpointSettings)


def at_least(key: str, value: int, least: int) -> list[Problem]:
    """A problem if the value is smaller."""
    return [Problem(f"bench.{key}", f"{value}", f"write a whole number from {least}")] if value < least else []


@dataclass(frozen=True)
class Typed(Generic[S]):
    """A command line, taken apart."""

    settings: S
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


def take_apart(tokens: list[str], settings: type[S]) -> Typed[S]:
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
    return Typed(_settings(own, settings), output == "json", is_dry, rest)


def _settings(own: list[str], settings: type[S]) -> S:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        merged = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(settings), OmegaConf.from_dotlist(own)))
    except OmegaConfBaseException as error:
        said, known = str(error).splitlines()[0], asdict(settings())
        raise ConfigError(Problem("bench", said, f"write {_example(known)}")) from error
    assert isinstance(merged, settings)
    if problems := merged.problems():
        raise ConfigError(problems)
    return merged


def _example(known: Mapping[str, Any]) -> str:
    """All keys, with values of the right kind."""
    values = {key: "[key=value,…]" if isinstance(value, list) else value for key, value in known.items()}
    return ", ".join(f"{PREFIX}{key}={value}" for key, value in values.items())


def composed_tokens(tokens: list[str]) -> list[str]:
    """What is composed: over bench.yaml, unless another primary config was typed."""
    from yoloscale.bench.commands import primary_config

    return [*primary_config(tokens), *tokens]


def make_plan(given: Typed[Settings]) -> Plan:
    """Compose and check, and for both sides say the same. Starts and fetches nothing. Raises ConfigError."""
    from yoloscale.config.compose.hydra import compose

    config = comparable_config(given.rest)
    extra = dict(word.split("=", 1) for word in given.settings.yolo)
    return Plan(config, compose(composed_tokens(given.rest)).amp, given.rest, free_folder(config), extra)


def comparable_config(rest: list[str]) -> Config:
    """The composed and resolved config, if `yolo` can do the same. Raises ConfigError."""
    from yoloscale.launch.configure import configure

    config = configure(composed_tokens(rest))
    problems = []
    if config.cluster.nodes > 1:
        problems.append(Problem("cluster.nodes", f"{config.cluster.nodes}", "`yolo` knows one node: cluster.nodes=1"))
    if config.batch < 1:
        problems.append(Problem("batch", f"{config.batch}", "write a number, so that all sides have the same"))
    if config.time:
        problems.append(Problem("time", f"{config.time}", "write epochs=, so that all sides do the same"))
    if problems:
        raise ConfigError(problems)
    return config


def free_folder(config: Config, suffix: str = "") -> Path:
    """Where a measurement is kept: `runs/bench/<model>-<dataset><suffix>`, else that with `-2`, `-3`, …"""
    from yoloscale.launch.run_folder import default_name

    folder = Path(config.paths.runs).expanduser() / "bench"
    return first_free(folder / f"{config.name or default_name(config)}{suffix}").absolute()
