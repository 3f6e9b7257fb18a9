"""The verbs whose work is done by ranks: a row each. The frozen config of a run says `kind:`; without it, it trains."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, cast

from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError, Problem


@dataclass(frozen=True)
class Kind:
    """What one verb has for itself.

    Args:
        schema: `module:class` of its frozen config, whose class attribute `kind` is the name of the row.
        primary: the config that Hydra composes, in configs/.
        program: `module:function` of a rank, imported there and nowhere else. It is called with the config, the run
            directory, the ranks, the number of the attempt and the rank's stop requests, and returns the exit code; the
            last thing that it writes is result.json.
    """

    schema: str
    primary: str
    program: str

    def load_schema(self) -> type[Config]:
        """Import the schema: a command of one verb does without those of the others."""
        return cast("type[Config]", _load(self.schema))

    def load_program(self) -> Any:
        """Import the program of a rank."""
        return _load(self.program)


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


KINDS = {
    "train": Kind("yoloscale.config.schema.train:Config", "train", "yoloscale.worker.train.train:train"),
    "bench": Kind("yoloscale.config.schema.bench:BenchConfig", "bench", "yoloscale.worker.bench.bench:bench"),
}


def kind_of(name: str) -> Kind:
    """The row of a name. Raises ConfigError for one of another version."""
    if name not in KINDS:
        raise ConfigError(Problem("kind", repr(name), f"this version knows {', '.join(KINDS)}"))
    return KINDS[name]
