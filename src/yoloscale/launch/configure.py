"""From what was typed to a config that can be run on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yoloscale.config.errors import ConfigError
from yoloscale.config.schema import Config, Task


def configure(tokens: Sequence[str]) -> Config:
    """Compose, resolve and validate. Raises ConfigError with every problem."""
    from yoloscale.config.compose import compose
    from yoloscale.config.resolve import resolve
    from yoloscale.config.validate import validate

    config = resolve(compose(tokens, _task_of))
    problems = validate(config)
    if problems:
        raise ConfigError(problems)
    return config


def _task_of(weights: Path) -> Task | None:
    """The task of somebody's own `.pt` file, read without running any of it."""
    from yoloscale.data import weights_file

    return weights_file.inspect(weights).task
