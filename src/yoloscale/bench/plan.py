"""What `yoloscale bench …` was asked to measure: the command line taken apart, composed and checked."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from yoloscale.bench.commands import primary_config
from yoloscale.config.compose.flags import Flags, split
from yoloscale.config.kinds import TRAIN
from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.configure import configured
from yoloscale.launch.run_folder import default_name
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
        return [*at_least("repeats", self.repeats, 1), *without_value(self.yolo)]


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


@dataclass
class PredictionSettings:
    """The keys of `bench predict` alone."""

    repeats: int = 3
    images: int = 384
    batches: list[int] = field(default_factory=lambda: [1, 4, 8, 16])
    yolo: list[str] = field(default_factory=list)

    def problems(self) -> list[Problem]:
        """What cannot be measured."""
        few = [] if self.batches and min(self.batches) > 0 else [f"{self.batches}"]
        return [
            *at_least("repeats", self.repeats, 1),
            *at_least("images", self.images, 1),
            *[Problem("bench.batches", found, "write whole numbers from 1: bench.batches=[1,4,8,16]") for found in few],
            *without_value(self.yolo),
        ]


S = TypeVar("S", Settings, CheckpointSettings, PredictionSettings)


def without_value(words: Sequence[str]) -> list[Problem]:
    """A problem for each argument of `yolo` that has no value."""
    instead = "write bench.yolo=[key=value,…]"
    return [Problem("bench.yolo", f"{word!r} has no `=`", instead) for word in words if "=" not in word]


def at_least(key: str, value: int, least: int) -> list[Problem]:
    """A problem if the value is smaller."""
    return [Problem(f"bench.{key}", f"{value}", f"write a whole number from {least}")] if value < least else []


@dataclass(frozen=True)
class Typed(Generic[S]):
    """A command line, taken apart: the benchmark's own settings, and `rest`, for the run; `line` is composed."""

    settings: S
    as_json: bool
    is_dry: bool
    rest: list[str]
    line: Flags


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    config: Config  # resolved: what our side does on this machine
    amp: bool | str  # as it was typed: what `yolo` gets
    tokens: list[str]
    folder: Path
    yolo: Mapping[str, Any]  # arguments for `yolo` alone


def take_apart(tokens: list[str], settings: type[S], kind: str = TRAIN) -> Typed[S]:
    """Tell the benchmark's own keys and flags from those of the kind of run that is measured. Raises ConfigError."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-o", "--output", nargs="?", const="", default="text")
    parser.add_argument("--dry-run", action="store_true")
    flags, words = parser.parse_known_args(tokens)
    if flags.output not in ("text", "json"):
        raise ConfigError(Problem("-o", f"{flags.output!r}", "write -o text or -o json"))
    own = [word.removeprefix(PREFIX) for word in words if word.startswith(PREFIX)]
    rest: list[str] = [word for word in words if not word.startswith(PREFIX)]
    # over bench.yaml, unless another primary config was typed
    over: list[str] = primary_config(rest) if kind == TRAIN else []
    line = split([*over, *rest], kind=kind)
    return Typed(_settings(own, settings), flags.output == "json", flags.dry_run, rest, line)


def _settings(own: list[str], settings: type[S]) -> S:
    try:
        merged = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(settings), OmegaConf.from_dotlist(own)))
    except OmegaConfBaseException as error:
        keys = {key: "[key=value,…]" if isinstance(value, list) else value for key, value in asdict(settings()).items()}
        instead = "write " + ", ".join(f"{PREFIX}{key}={value}" for key, value in keys.items())
        raise ConfigError(Problem("bench", str(error).splitlines()[0], instead)) from error
    assert isinstance(merged, settings)
    if problems := merged.problems():
        raise ConfigError(problems)
    return merged


def make_plan(words: Typed[Settings]) -> Plan:
    """Compose and check, and for both sides say the same. Starts and fetches nothing. Raises ConfigError."""
    config, composed = comparable(words.line)
    extra = dict(word.split("=", 1) for word in words.settings.yolo)
    return Plan(config, composed.amp, words.rest, free_folder(config), extra)


def comparable(line: Flags) -> tuple[Config, Config]:
    """What is asked for, if `yolo` can do the same: resolved, and as it was composed. Raises ConfigError."""
    asked_for = configured(line)
    config, composed = asked_for.config, asked_for.composed
    assert isinstance(config, Config), "it was typed for a run that trains"
    assert isinstance(composed, Config), "of the same kind"
    refusals = [
        (config.cluster.nodes > 1, "cluster.nodes", config.cluster.nodes, "`yolo` knows one node: cluster.nodes=1"),
        (config.batch < 1, "batch", config.batch, "write a number, so that all sides have the same"),
        (bool(config.time), "time", config.time, "write epochs=, so that all sides do the same"),
    ]
    if problems := [Problem(key, f"{value}", instead) for is_bad, key, value, instead in refusals if is_bad]:
        raise ConfigError(problems)
    return config, composed


def free_folder(config: Config, suffix: str = "") -> Path:
    """Where a measurement is kept: `runs/bench/<model>-<dataset><suffix>`, else that with `-2`, `-3`, …"""
    folder = Path(config.paths.runs).expanduser() / "bench"
    return first_free(folder / f"{config.name or default_name(config)}{suffix}").absolute()
