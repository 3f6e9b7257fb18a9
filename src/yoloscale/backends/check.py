"""Everything that can be wrong with a config: config/check, and what only its back end knows."""

from __future__ import annotations

from collections.abc import Callable

from yoloscale.backends import registry
from yoloscale.backends.slurm.check import slurm_only
from yoloscale.config.check.logger import logger_problems
from yoloscale.config.kinds import kind_of
from yoloscale.config.schema import LoggerConfig, RunConfig
from yoloscale.errors import Problem
from yoloscale.system.machine import Machine


def validate(
    config: RunConfig,
    machine: Machine | None = None,
    of_logger: Callable[[LoggerConfig], list[Problem]] = logger_problems,
) -> list[Problem]:
    """Problems of a resolved config on a machine (this one, unless another is given); empty if it can start.

    `of_logger` reads files of this person's: who validates many configs remembers what it has told. SLURM's keys stand
    in the cluster section itself: for ranks on this machine its check says that they would go unread.
    """
    backend = registry.of(config.cluster)
    rules = kind_of(config.kind).load_rules()
    problems: list[Problem] = rules(config, machine, slurm_only if backend is None else backend.check, of_logger)
    return problems
