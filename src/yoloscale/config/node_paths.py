"""Paths with variables in `data=` and `model=`: those that are known where a person types, and those of the nodes.

`$NAME`, `${NAME}` and Hydra's `${oc.env:NAME}` or `${oc.env:NAME,DEFAULT}` are variables; a file that is really called
so comes first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from yoloscale.config.resolve import starting_weights
from yoloscale.config.schema import Config, DataCheck, RunConfig, ValConfig
from yoloscale.errors import ConfigError, Problem

_VARIABLE = re.compile(r"\$(?:\{(?:oc\.env:)?([A-Za-z_]\w*)(?:,([^}]*))?\}|([A-Za-z_]\w*))")
_OF_A_JOB = ("TMPDIR", "TMP", "TEMP")  # sites give each job its own


def is_of_a_job(name: str) -> bool:
    """Whether a variable has another value in a SLURM job, whatever it has where the job is submitted."""
    return name.startswith("SLURM_") or name in _OF_A_JOB


def expanded(
    path: str, environ: Mapping[str, str] = os.environ, keeps: Callable[[str], bool] = lambda name: False
) -> str:
    """The path with the values of its variables; those that are not set, or are to be kept, stay as `$NAME` would."""
    if "$" not in path or Path(path).exists():
        return path

    def value(match: re.Match[str]) -> str:
        name, default = match[1] or match[3], match[2]
        if keeps(name):
            return match[0]
        return environ.get(name) or (default if default is not None else match[0])

    return _VARIABLE.sub(value, path)


def variables_in(path: str) -> list[str]:
    """Names of the variables in a path, each once; none if there is a file of this very name."""
    if "$" not in path or Path(path).exists():
        return []
    return list(dict.fromkeys(match[1] or match[3] for match in _VARIABLE.finditer(path)))


def on_node(key: str, path: str, environ: Mapping[str, str] = os.environ) -> str:
    """The path as it is on this machine. Raises ConfigError where one of its variables is not set."""
    place = expanded(path, environ)
    if unset := variables_in(place):
        names = ", ".join(f"${name}" for name in unset)
        instead = f"set {names} in the environment, or by cluster.env.{unset[0]}=… or cluster.setup; or write the path"
        raise ConfigError(Problem(key, f"{path!r}: {names} is not set on {os.uname().nodename}", instead))
    return place


def is_checked_later(config: RunConfig) -> bool:
    """Whether the dataset is looked at on the nodes only: as `data.check` says, else if it takes a job's variables."""
    if not isinstance(config, (Config, ValConfig)) or config.cluster.is_here or config.data.check is DataCheck.now:
        return False
    return config.data.check is DataCheck.later or bool(variables_in(config.data.source))


def may_be_weights_of_nodes(config: RunConfig) -> bool:
    """Whether the weights may be a file that is there on the nodes only, which the launcher has not looked into."""
    weights = starting_weights(config)
    if not isinstance(config, Config) or config.cluster.is_here or config.data.check is DataCheck.now:
        return False  # those of other kinds are looked into, and their digest is frozen
    if weights is None:
        return False
    is_later = config.data.check is DataCheck.later and len(Path(weights).parts) > 1
    return is_later or bool(variables_in(weights))


def is_weights_of_nodes(config: RunConfig) -> bool:
    """Whether the weights are a file that is there on the nodes only; asked where the job is submitted."""
    weights = starting_weights(config)
    return may_be_weights_of_nodes(config) and (not Path(str(weights)).exists() or bool(variables_in(str(weights))))


def remarks(config: RunConfig) -> list[str]:
    """A line for each path that is looked at later than a person may think, or for a word without effect."""
    lines = []
    if not isinstance(config, (Config, ValConfig)):
        return []
    if is_checked_later(config):
        lines.append(f"data={config.data.source} is looked for, and checked, on the nodes when the job starts")
    if is_weights_of_nodes(config):
        lines.append(f"model={starting_weights(config)} is looked for on the nodes when the job starts")
    if config.data.check is DataCheck.later and config.cluster.is_here:
        lines.append("data.check=later does nothing without cluster=slurm: the ranks run here, and it is checked now")
    return lines


def or_later(problem: Problem, config: RunConfig) -> Problem:
    """The problem of a dataset that is not here, with the word for one that is there on the nodes."""
    if not isinstance(config, (Config, ValConfig)) or config.cluster.is_here or problem.key not in ("data", "model"):
        return problem
    if problem.key == "model" and not isinstance(config, Config):
        return problem
    is_later = is_checked_later(config) if problem.key == "data" else is_weights_of_nodes(config)
    path = config.data.source if problem.key == "data" else str(starting_weights(config))
    if is_later or len(Path(path).parts) < 2 or Path(path).expanduser().exists():
        return problem
    instead = f"{problem.instead}; if it is there on the nodes only, add data.check=later"
    return Problem(problem.key, problem.found, instead)
