"""What the ranks of `yoloscale bench predict` are to measure: a prediction, and a section of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from yoloscale.config.schema.predict import PredictConfig


@dataclass
class LimitsConfig:
    """The section `bench`."""

    images: int = 256  # of each rank, for each of the two measurements; those of the manifest over again


@dataclass
class PredictBenchConfig(PredictConfig):
    """A prediction whose ranks measure how fast it could be at best."""

    kind = "bench_predict"
    bench: LimitsConfig = field(default_factory=LimitsConfig)
