"""One image of a prediction as Ultralytics' `Results`, for scripts and notebooks; no rank calls this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yoloscale.config.freeze import load_own
from yoloscale.config.locations import working_folder
from yoloscale.config.schema import PredictConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.manifest import table
from yoloscale.manifest.content import Reader
from yoloscale.manifest.content import Unreadable as NoContent
from yoloscale.predictions import model as model_file
from yoloscale.predictions import parts
from yoloscale.predictions.coco import READABLE
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.predict.views.images import NotDrawn, pixel_map, read_image
from yoloscale.worker.predict.views.unit import rows_of
from yoloscale.yolo.inference.pictures import Unreadable
from yoloscale.yolo.inference.results import results
from yoloscale.yolo.inference.rows import prediction_of

if TYPE_CHECKING:
    from ultralytics.engine.results import Results

_KEY = "index"


def results_at(run: RunDirectory, index: int) -> Results:
    """What was found in the image of this index, with the image, which is read again.

    Raises ConfigError: the index is none of the manifest's, its unit is not done yet, the image was not predicted, or
    it is gone by now.
    """
    config = load_own(run.config, of=PredictConfig)
    row = _row(run, config.images_of_unit, index)
    if row["status"] not in READABLE:
        instead = "choose one whose status is ok or empty: run.predictions() has them"
        raise ConfigError(Problem(_KEY, f"image {index} ({row['source']}) is {row['status']}: {row['error']}", instead))
    [item] = table.read(run.manifest, index, 1)
    try:
        with Reader(working_folder(config.origin)) as reader:
            image = read_image(reader, item, row)
    except (NotDrawn, NoContent, Unreadable, OSError) as error:
        found = f"image {index} ({row['source']}) cannot be read any more: {error}"
        raise ConfigError(Problem(_KEY, found, "put it back, or take what run.predictions() says of it")) from None
    names = dict(model_file.read(run.path).names)
    prediction = prediction_of(row, pixel_map(row, run.path))
    return results(prediction, image, _path_of(row["source"], config), names)


def _row(run: RunDirectory, unit_size: int, index: int) -> dict[str, Any]:
    unit = index // unit_size
    count = table.count(run.manifest)
    if not 0 <= index < count:
        raise ConfigError(Problem(_KEY, f"{index}", f"write 0 to {count - 1}: the run has {count} images"))
    if not parts.path(run.path, unit).exists():
        found = f"image {index} is of unit {unit}, which is not done yet"
        raise ConfigError(Problem(_KEY, found, "wait for it: run.wait() waits for all"))
    return next(row for row in rows_of(run.path, unit) if row["index"] == index)


def _path_of(source: str, config: PredictConfig) -> str:
    """The source as `Results` names it: of a file, its path from anywhere."""
    path = working_folder(config.origin) / source
    return str(path) if path.is_file() else source
