"""What may be typed beside the name of a sweep that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yoloscale.config.compose import assignments
from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.sweep import SweepConfig

CHANGEABLE = ("sweep.parallel", "sweep.max_failures")


def changed_settings(tokens: Sequence[str], frozen: SweepConfig) -> SweepConfig:
    """A sweep's settings with `parallel` and `max_failures` as typed. Raises ConfigError for anything else."""
    given = dict(assignments(tokens))
    instead = "type the sweep's own command with it, and the same name="
    problems = [Problem(key, "beside the name of a sweep", instead) for key in given if key not in CHANGEABLE]
    problems += [
        Problem(key, f"{value}", "write at least 1, or null for no limit")
        for key, value in given.items()
        if key in CHANGEABLE and value is not None and value < 1
    ]
    if problems:
        raise ConfigError(problems)
    return replace(frozen, **{key.removeprefix("sweep."): value for key, value in given.items()})
