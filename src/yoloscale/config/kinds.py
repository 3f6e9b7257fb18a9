"""The verbs whose work is done by ranks: a row each. The frozen config of a run says `kind:`; without it, it trains."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from yoloscale.config.schema import BenchConfig, Config
from yoloscale.errors import ConfigError, Problem


@dataclass(frozen=True)
class Kind:
    """What one verb has for itself.

    Args:
        schema: of its frozen config; its class attribute `kind` is the name of the row.
        primary: the config that Hydra composes, in configs/.
        program: `module:function` of a rank, imported there and nowhere else. It is called with the config, the run
            directory, the ranks, the number of the attempt and the rank's stop requests, and returns the exit code; the
            last thing that it writes is result.json.
    """

    schema: type[Config]
    primary: str
    program: str

    def load_program(self) -> Any:
        """Import the program of a rank."""
        module, _, function = self.program.partition(":")
        return getattr(importlib.import_module(module), function)


KINDS = {
    row.schema.kind: row
    for row in (
        Kind(Config, "train", "yoloscale.worker.train.train:train"),
        Kind(BenchConfig, "bench", "yoloscale.worker.bench.bench:bench"),
    )
}


def kind_of(name: str) -> Kind:
    """The row of a name. Raises ConfigError for one of another version."""
    if name not in KINDS:
        raise ConfigError(Problem("kind", repr(name), f"this version knows {', '.join(KINDS)}"))
    return KINDS[name]
