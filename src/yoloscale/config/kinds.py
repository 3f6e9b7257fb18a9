"""The verbs whose work is done by ranks: a row each. The frozen config of a run says `kind:`; without it, it trains."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, cast

from yoloscale.config.schema import Config, RunConfig
from yoloscale.errors import ConfigError, Problem

TRAIN = Config.kind


@dataclass(frozen=True)
class Kind:
    """What one verb has for itself.

    Args:
        verb: what a person types: `yoloscale VERB`.
        schema: `module:class` of its frozen config, whose class attribute `kind` is the name of the row.
        rules: `module:function` that returns the problems of a resolved config; called as `check.train.validate` is.
        primary: the config that Hydra composes, in configs/.
        preparation: `module:function` of the launcher, imported there and nowhere else: with the config and `say`, it
            fetches and checks what the run needs before any rank starts, and returns the config with what it learnt.
        program: `module:function` of a rank, imported there and nowhere else. It is called with the config, the run
            directory, the ranks, the number of the attempt and the rank's stop requests, and returns the exit code; the
            last thing that it writes is result.json.
    """

    verb: str
    schema: str
    rules: str
    primary: str
    preparation: str
    program: str

    def load_schema(self) -> type[RunConfig]:
        """Import the schema: a command of one verb does without those of the others."""
        return cast("type[RunConfig]", _load(self.schema))

    def load_rules(self) -> Any:
        """Import the rules."""
        return _load(self.rules)

    def load_preparation(self) -> Any:
        """Import the preparation, in the launcher."""
        return _load(self.preparation)

    def load_program(self) -> Any:
        """Import the program of a rank."""
        return _load(self.program)


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


KINDS = {
    "train": Kind(
        verb="train",
        schema="yoloscale.config.schema.train:Config",
        rules="yoloscale.config.check.train:validate",
        primary="train",
        preparation="yoloscale.launch.prepare:prepare",
        program="yoloscale.worker.train.train:train",
    ),
    "bench": Kind(
        verb="bench",
        schema="yoloscale.config.schema.bench:BenchConfig",
        rules="yoloscale.config.check.train:validate",
        primary="bench",
        preparation="yoloscale.launch.prepare:prepare",
        program="yoloscale.worker.bench.bench:bench",
    ),
    "bench_predict": Kind(
        verb="bench",
        schema="yoloscale.config.schema.bench_predict:PredictBenchConfig",
        rules="yoloscale.config.check.predict:validate",
        primary="predict",
        preparation="yoloscale.launch.prepare_inference:prepare_prediction",
        program="yoloscale.worker.bench.prediction:bench",
    ),
    "predict": Kind(
        verb="predict",
        schema="yoloscale.config.schema.predict:PredictConfig",
        rules="yoloscale.config.check.predict:validate",
        primary="predict",
        preparation="yoloscale.launch.prepare_inference:prepare_prediction",
        program="yoloscale.worker.predict.predict:predict",
    ),
    "val": Kind(
        verb="val",
        schema="yoloscale.config.schema.val:ValConfig",
        rules="yoloscale.config.check.val:validate",
        primary="val",
        preparation="yoloscale.launch.prepare_inference:prepare_evaluation",
        program="yoloscale.worker.val.val:val",
    ),
}


def kind_of(name: str) -> Kind:
    """The row of a name. Raises ConfigError for one of another version."""
    if name not in KINDS:
        raise ConfigError(Problem("kind", repr(name), f"this version knows {', '.join(KINDS)}"))
    return KINDS[name]
