"""What `yoloscale bench predict` was asked to measure: weights, images and settings, composed and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yoloscale.bench.plan import PredictionSettings, Typed
from yoloscale.config.compose.flags import split
from yoloscale.config.schema import PredictConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.launch.configure import configured
from yoloscale.system.files import first_free

ARCHITECTURE = "yolo26n.yaml"  # with random weights, where no weights are named
UNIT = 32  # images of a unit: a rank has several even of few images
FEWEST_UNITS = 3  # of a rank: one passes before it counts, and one is cut short by the others' end
DISTINCT = 128  # images that are rendered; a longer list has them over again
_OWN = ("model", "source", "name", "paths.runs")


@dataclass(frozen=True)
class PredictionPlan:
    """What is to be measured.

    Args:
        config: resolved; its weights are those of the same name where they are made first.
        tokens: what our command gets beside weights, source, name and folder.
        architecture: of weights that are made first; None where weights were named.
        source: as typed; None: rendered images.
        yolo: arguments for `yolo` alone.
    """

    config: PredictConfig
    tokens: list[str]
    architecture: str | None
    source: str | None
    folder: Path
    yolo: Mapping[str, Any]

    @property
    def weights(self) -> Path:
        """The weights of both sides."""
        named = self.config.model.weights
        assert named is not None, "the plan names some"
        return Path(named) if self.architecture is None else self.folder / f"{Path(self.architecture).stem}.pt"

    @property
    def ranks(self) -> int:
        """Our processes: one for each GPU, or each CPU."""
        return self.config.cluster.procs_per_node or 1

    def images_of(self, part: int, parts: int) -> Path:
        """The list of a process that predicts by itself; of one for all, the whole one."""
        return self.folder / ("images.txt" if parts == 1 else f"images-{part + 1}-of-{parts}.txt")


def make_plan(words: Typed[PredictionSettings]) -> PredictionPlan:
    """Compose and check. Starts and fetches nothing. Raises ConfigError."""
    tokens = [word for word in words.rest if word.partition("=")[0] not in _OWN]
    tokens = [*_unless_typed(tokens, "imgsz", 640), *_unless_typed(tokens, "predict.unit", UNIT), *tokens]
    model, source = _typed(words.rest, "model") or ARCHITECTURE, _typed(words.rest, "source")
    architecture = model if model.endswith((".yaml", ".yml")) else None
    runs = [word for word in words.rest if word.startswith("paths.runs=")]
    named = [f"model={Path(model).stem if architecture else model}", f"source={source or 'images.txt'}"]
    config = configured(split([*tokens, *runs, *named], kind=PredictConfig.kind)).config
    assert isinstance(config, PredictConfig)
    if problems := _problems(config, words.settings):
        raise ConfigError(problems)
    name = _typed(words.rest, "name") or f"{Path(model).stem}-predict"
    folder = first_free(Path(config.paths.runs).expanduser() / "bench" / name).absolute()
    extra = dict(word.split("=", 1) for word in words.settings.yolo)
    return PredictionPlan(config, tokens, architecture, source, folder, extra)


def _problems(config: PredictConfig, settings: PredictionSettings) -> list[Problem]:
    """What the sides cannot share, and too little to measure."""
    cluster = config.cluster
    ranks = cluster.procs_per_node or 1
    unit = config.predict.unit
    fewest = FEWEST_UNITS * (unit or UNIT) * ranks
    refusals = [
        (cluster.nodes > 1, "cluster.nodes", cluster.nodes, "`yolo` knows one node: cluster.nodes=1"),
        (not cluster.is_here, "cluster", cluster.launcher, "it is measured on this machine: cluster=local"),
        (len(config.source) > 1, "source", config.source, "`yolo` takes one: name a folder, or a list"),
        (bool(config.predict.save), "predict.save", "views", "leave it out: neither side makes any"),
        (unit is None, "predict.unit", None, f"leave it out, which is {UNIT} here, or write a number"),
        (config.predict.slice is not None, "predict.slice", config.predict.slice, "`yolo` has no slices: leave it out"),
        (settings.images < fewest, "bench.images", settings.images, f"write {fewest} or more: {ranks} ranks"),
    ]
    return [Problem(key, f"{value}", instead) for is_bad, key, value, instead in refusals if is_bad]


def _typed(tokens: Sequence[str], key: str) -> str | None:
    """The last value of a key."""
    values = [word.partition("=")[2] for word in tokens if word.partition("=")[0] == key]
    return values[-1].strip("'\"") if values else None


def _unless_typed(tokens: Sequence[str], key: str, value: int) -> list[str]:
    return [] if _typed(tokens, key) else [f"{key}={value}"]
