"""The columns of a part: what the rows of predictions/part-….parquet hold. Writers and readers take them from here.

| column | type | of which tasks, and what |
| --- | --- | --- |
| index | Int64 | all: the row of manifest.parquet |
| source | String | all: as in the manifest |
| frame, time_s | Int64, Float64 | all: of a video's frame, from 0; null of an image |
| height, width | Int32 | all: of the image, in pixels; null where it was not read |
| status | String | all: one of Status |
| error | String | all: why, where the status is unreadable or failed; else null |
| boxes | List(Array(Float32, 4)) | detect, segment, pose: x1 y1 x2 y2 in pixels of the image |
| obb | List(Array(Float32, 5)) | obb: centre x y, width, height in pixels, angle in radians |
| scores, classes | List(Float32), List(Int32) | those with boxes or obb: highest score first, as the model gives them |
| masks | List(String) | segment: COCO's compressed run lengths (rle.py), of the image's size |
| keypoints | List(List(List(Float32))) | pose: of each object, of each point: x y and, if there is one, its score |
| probs | List(Float32) | classify: of each class |
| map | String | semantic, depth: the map's file, below the run directory (maps.py) |
| embedding | List(Float32) | with `embed`, in the place of what the task would have |

What is null: the columns of an image that was not read or failed. Lists of one row have the same length, in the same
order. An image in which nothing was found has empty lists.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from yoloscale.config.tasks import Task

if TYPE_CHECKING:
    import polars as pl

EMBEDDING = "embedding"
MAP = "map"


class Status(str, Enum):
    """What became of an image."""

    ok = "ok"
    empty = "empty"  # nothing was found in it
    unreadable = "unreadable"  # it is no image, or is not there
    failed = "failed"  # it ended the process that was at work on it, or could not be predicted


_OBJECTS = ("scores", "classes")
_OF_TASK: dict[Task, tuple[str, ...]] = {
    Task.detect: ("boxes", *_OBJECTS),
    Task.segment: ("boxes", *_OBJECTS, "masks"),
    Task.pose: ("boxes", *_OBJECTS, "keypoints"),
    Task.obb: ("obb", *_OBJECTS),
    Task.classify: ("probs",),
    Task.semantic: (MAP,),
    Task.depth: (MAP,),
}


def value_columns(task: Task, *, embeds: bool = False) -> tuple[str, ...]:
    """The names of the columns that hold what was found, in their order. `embeds`: of a run with `embed`."""
    return (EMBEDDING,) if embeds else _OF_TASK[task]


def columns(task: Task, *, embeds: bool = False) -> pl.Schema:
    """All columns of the parts of a run, with their types, in their order."""
    import polars as pl

    about: dict[str, pl.DataType] = {
        "index": pl.Int64(),
        "source": pl.String(),
        "frame": pl.Int64(),
        "time_s": pl.Float64(),
        "height": pl.Int32(),
        "width": pl.Int32(),
        "status": pl.String(),
        "error": pl.String(),
    }
    values: dict[str, pl.DataType] = {
        "boxes": pl.List(pl.Array(pl.Float32, 4)),
        "obb": pl.List(pl.Array(pl.Float32, 5)),
        "scores": pl.List(pl.Float32),
        "classes": pl.List(pl.Int32),
        "masks": pl.List(pl.String),
        "keypoints": pl.List(pl.List(pl.List(pl.Float32))),
        "probs": pl.List(pl.Float32),
        MAP: pl.String(),
        EMBEDDING: pl.List(pl.Float32),
    }
    return pl.Schema(about | {name: values[name] for name in value_columns(task, embeds=embeds)})


def has_objects(task: Task, *, embeds: bool = False) -> bool:
    """Whether its images hold any number of objects, and so may be empty."""
    return "scores" in value_columns(task, embeds=embeds)
