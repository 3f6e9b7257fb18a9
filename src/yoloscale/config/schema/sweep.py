"""The `sweep` group: which runs one command makes, how many of them train at a time, and how a search picks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Sampler(str, Enum):
    """How a search picks the next point: Optuna's samplers."""

    tpe = "tpe"
    cmaes = "cmaes"
    random = "random"
    grid = "grid"
    nsga2 = "nsga2"


class Pruner(str, Enum):
    """What ends a hopeless point early: Optuna's pruners; `asha` is its successive halving."""

    none = "none"
    median = "median"
    hyperband = "hyperband"
    asha = "asha"


@dataclass
class SearchConfig:
    """A search over intervals and choices instead of every combination."""

    sampler: Sampler = Sampler.tpe
    trials: int = 50  # points in all
    objectives: dict[str, str] = field(default_factory=dict)  # metric: maximize or minimize; none: fitness, maximize
    startup_trials: int = 10  # random ones, before the sampler has anything to go by and before any is pruned
    seed: int = 0
    pruner: Pruner = Pruner.none
    min_epochs: int = 1  # no point is pruned before it has been evaluated after so many


@dataclass
class SweepConfig:
    """What `train -m` does beside the values typed. Of the sweep as a whole: no point is frozen with it."""

    params: dict[str, Any] = field(default_factory=dict)  # key: values as after `-m`, like 0.001,0.01 or range(0,3)
    parallel: int | None = None  # points that train at a time on this machine; None: as many as devices allow
    max_failures: int | None = None  # failed points after which no other is started; None: all are tried
    search: SearchConfig | None = None  # None: every combination is a point


@dataclass
class TrialConfig:
    """What ties the run of a search's point to its study. Frozen with the run, never typed by people."""

    number: int  # of the trial in the study
    study: str  # the study's journal file, relative to the run directory
    search: SearchConfig = field(default_factory=SearchConfig)
