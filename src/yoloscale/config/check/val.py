"""Everything that can be wrong with an evaluation without opening a file, found at once."""

from __future__ import annotations

from collections.abc import Callable

from yoloscale.config.check.inference import shared_problems
from yoloscale.config.schema import ClusterConfig, LoggerConfig, ValConfig
from yoloscale.errors import Problem
from yoloscale.system.machine import Machine


def validate(
    config: ValConfig,
    machine: Machine | None,
    of_cluster: Callable[[ClusterConfig], list[Problem]],
    of_logger: Callable[[LoggerConfig], list[Problem]],
) -> list[Problem]:
    """Problems of a resolved config; called as `check.train.validate` is."""
    problems = shared_problems(config, machine, of_cluster)
    if config.data.shapes is not None and config.data.source != "shapes":
        found = f"options of the rendered dataset beside data.source={config.data.source}"
        problems.append(Problem("data.shapes", found, "leave them out, or write data=shapes"))
    return problems
