"""What a search looks for, and where a run's result holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from yoloscale.config.schema.sweep import SearchConfig

FITNESS = "fitness"
DIRECTIONS = ("maximize", "minimize")
PARAMETERS, GFLOPS, LATENCY = "parameters", "gflops", "latency_ms"
COSTS = (PARAMETERS, GFLOPS, LATENCY)  # of the model, not of what it has learned: known once, at the end


def objectives_of(search: SearchConfig) -> dict[str, str]:
    """Metric to maximize or minimize, in the order of the study's values; the fitness where none is given."""
    return dict(search.objectives) or {FITNESS: "maximize"}


def is_cost(metric: str) -> bool:
    """Whether it is known of a finished run only."""
    return metric in COSTS


def values_of(result: Mapping[str, Any], search: SearchConfig) -> list[float]:
    """The objectives' values in a run's result. Raises ValueError that lists what there is instead of a missing one."""
    everything = {**(result.get("metrics") or {}), **{name: result.get(name) for name in (FITNESS, *COSTS)}}
    numbers = {name: value for name, value in everything.items() if value is not None}
    objectives = list(objectives_of(search))
    if missing := [name for name in objectives if name not in numbers]:
        raise ValueError(f"no {' and no '.join(missing)} in its result, which has {', '.join(numbers)}")
    values = [float(numbers[name]) for name in objectives]
    if not all(map(math.isfinite, values)):
        raise ValueError(f"{', '.join(objectives)} is not finite: {', '.join(map(str, values))}")
    return values
