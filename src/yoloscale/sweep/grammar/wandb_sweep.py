"""What is typed after `train -m` as a sweep of W&B's: its server picks the points, its agents start them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from yoloscale.config.compose.flags import split
from yoloscale.errors import ConfigError, Problem
from yoloscale.sweep.effects import composable, own_groups, useless
from yoloscale.sweep.grammar.space import Choices, Dimension, Interval, read_space
from yoloscale.system.remarks import Say, silent

METHODS = ("grid", "random", "bayes")
OURS = ("sweep", "name", "hydra")  # these say how we would sweep; the name would be that of every run


def wandb_sweep(
    tokens: Sequence[str], method: str | None = None, metric: str = "fitness", say: Say = silent
) -> dict[str, Any]:
    """The content of the file that `wandb sweep FILE` takes. Raises ConfigError with every problem of the values.

    `wandb agent` then runs `yoloscale train …` with the values of a point as arguments. `say` gets the remarks.
    """
    line = split(tokens)
    space = read_space(line, say)
    if not space.dimensions:
        instead = "give a key several values, like imgsz=320,640"
        raise ConfigError(Problem("--multirun", "nothing to sweep over", instead))
    problems, lines = useless(space, composable(space.probes(own_groups())))
    if problems:
        raise ConfigError(problems)
    for text in lines:
        say(text)
    method = method or ("grid" if all(isinstance(each, Choices) for each in space.dimensions) else "bayes")
    infinite = [each.key for each in space.dimensions if each.values is None]
    if method == "grid" and infinite:
        instead = "write --method=random or bayes, or a list of values"
        raise ConfigError([Problem(key, "an interval in a grid", instead) for key in infinite])
    fixed = [part for part in space.parts if isinstance(part, str) and not _is_ours(part)]
    if not any(part.startswith(("logger=", "logger.wandb")) for part in fixed):
        fixed.append("logger=wandb")
    name = next((t.partition("=")[2] for t in line.tokens if t.startswith("name=")), None)
    return {
        **({"name": name} if name else {}),
        "program": "yoloscale",
        "command": ["yoloscale", "train", *fixed, "${args_no_hyphens}"],
        "method": method,
        "metric": {"name": metric, "goal": "maximize"},
        "parameters": {each.key: _parameter(each, method) for each in space.dimensions},
    }


def _is_ours(token: str) -> bool:
    key = token.partition("=")[0].lstrip("+~")
    return key in OURS or key.startswith(("sweep.", "hydra.", "hydra/"))


def _parameter(dimension: Dimension, method: str) -> dict[str, Any]:
    if isinstance(dimension, Choices):
        return {"values": [_plain(value) for value in dimension.values]}
    if method == "grid":
        return {"values": list(dimension.values or ())}
    return {"distribution": _distribution(dimension), "min": dimension.low, "max": dimension.high, **_step(dimension)}


def _distribution(interval: Interval) -> str:
    if interval.is_log:
        return "q_log_uniform_values" if interval.is_whole else "log_uniform_values"
    if interval.step is not None:
        return "q_uniform"
    return "int_uniform" if interval.is_whole else "uniform"


def _step(interval: Interval) -> dict[str, float]:
    if interval.step is not None:
        return {"q": interval.step}
    return {"q": 1} if interval.is_log and interval.is_whole else {}


def _plain(value: str) -> Any:
    """A number as a number, so that W&B can compare values; all else as it is typed, Hydra's quotes included."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(value)
    return value
