"""The schema of an evaluation: which weights, on which part of which dataset."""

from __future__ import annotations

from dataclasses import dataclass, field

from yoloscale.config.schema.inference_arguments import ValArguments
from yoloscale.config.schema.run import DataConfig, EvaluationOrigin, RunConfig


@dataclass
class ValConfig(RunConfig, ValArguments):
    """One evaluation."""

    kind = "val"
    data: DataConfig = field(default_factory=DataConfig)
    origin: EvaluationOrigin = field(default_factory=EvaluationOrigin)
