"""The schema of a prediction: which images, which weights, and what is made of what is found in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from yoloscale.config.schema.inference_arguments import PredictArguments
from yoloscale.config.schema.run import InferenceOrigin, RunConfig


class View(str, Enum):
    """What can be made of the rows once all are there, by the name of its file or folder in the run."""

    coco = "coco"
    txt = "txt"
    pictures = "pictures"
    crops = "crops"


@dataclass
class PredictSection:
    """The section `predict`: what Ultralytics has no argument for."""

    unit: int | None = None  # images whose rows are written as one file; None: by their number, in the frozen config
    exact: bool = False  # on a CPU: bit for bit what YOLO(weights).predict finds; False: equal to 1e-5, and faster
    save: list[View] = field(default_factory=list)  # views; save=, save_txt=, save_crop= and save_json= add theirs
    slice: int | None = None  # pixels of a square that large images are cut into; None: whole images
    slice_overlap: float = 0.2  # of two neighbours, as a share of a slice; below 1
    column: str = "source"  # of a .csv or .parquet list
    loaders: int | None = None  # threads of a rank that decode; None: as many as its CPUs allow


@dataclass
class PredictConfig(RunConfig, PredictArguments):
    """One prediction."""

    kind = "predict"
    source: list[str] = field(default_factory=list)  # folders, globs, lists, tar files, addresses, videos, images
    predict: PredictSection = field(default_factory=PredictSection)
    origin: InferenceOrigin = field(default_factory=InferenceOrigin)

    @property
    def images_of_unit(self) -> int:
        """`predict.unit` of a frozen config, which has a number there."""
        assert self.predict.unit is not None, "with_contents of the launcher fills it in"
        return self.predict.unit
