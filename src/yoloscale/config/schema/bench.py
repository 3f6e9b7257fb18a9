"""What the ranks of `yoloscale bench …` are to measure: a training run, and a section of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from yoloscale.config.schema.train import Config


class Measurement(str, Enum):
    """What the ranks measure; worker/bench/bench.py names the functions."""

    steps = "steps"  # forward, backward and optimiser step of one batch
    checkpoints = "checkpoints"  # what saving costs the loop, ours and Ultralytics'
    positions = "positions"  # nothing: checkpoints at some steps are left for runs that go on from them


@dataclass
class MeasurementConfig:
    """The section `bench`."""

    measurement: Measurement = Measurement.steps
    checkpoints: int = 1  # of each kind
    positions: list[int] = field(default_factory=list)  # two or fewer steps of the first epoch


@dataclass
class BenchConfig(Config):
    """A training run whose ranks measure."""

    kind = "bench"
    bench: MeasurementConfig = field(default_factory=MeasurementConfig)
