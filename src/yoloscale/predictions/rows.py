"""Rows of a part: what was found in each image of a unit, and the frame that they are written as. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from yoloscale.config.tasks import Task
from yoloscale.predictions.schema import MAP, Status, columns, value_columns

if TYPE_CHECKING:
    import polars as pl

_ABOUT = ("index", "source", "frame", "time_s", "height", "width", "error")


@dataclass(frozen=True)
class Row:
    """One image. `values`: by the name of the column; arrays with a row each object, a list of masks, a map's name."""

    index: int
    source: str
    frame: int | None
    time_s: float | None
    status: Status
    error: str | None = None
    height: int | None = None
    width: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


def as_frame(rows: Sequence[Row], task: Task, *, embeds: bool = False) -> pl.DataFrame:
    """The rows in the order of their index, with the columns of schema.py; the order that they come in is no matter."""
    import polars as pl

    ordered = sorted(rows, key=lambda row: row.index)
    schema = columns(task, embeds=embeds)
    content: dict[str, pl.Series] = {}
    for name in _ABOUT:
        content[name] = pl.Series(name, [getattr(row, name) for row in ordered], dtype=schema[name])
    content["status"] = pl.Series("status", [row.status.value for row in ordered], dtype=schema["status"])
    for name in value_columns(task, embeds=embeds):
        values = [row.values.get(name) for row in ordered]
        if name in (MAP, "masks"):
            content[name] = pl.Series(name, values, dtype=schema[name])
        else:
            content[name] = _lists(name, values, schema[name])
    return pl.DataFrame([content[name] for name in schema])


def _lists(name: str, values: Sequence[Any], dtype: pl.DataType) -> pl.Series:
    """A column of lists from an array for each row, without a Python object for each number; None stays null."""
    import polars as pl

    assert isinstance(dtype, pl.List)
    lengths = [0 if value is None else len(value) for value in values]
    filled = [number for number, length in enumerate(lengths) if length]
    lists = pl.Series("value", [[]], dtype=dtype)
    if filled:
        flat = np.ascontiguousarray(np.concatenate([values[number] for number in filled]))
        owner = np.repeat(np.arange(len(filled)), [lengths[number] for number in filled])
        cells = pl.DataFrame({"owner": owner, "value": pl.Series(flat).cast(dtype.inner)})
        grouped = cells.group_by("owner", maintain_order=True).agg("value")["value"]
        lists = pl.concat([grouped.cast(dtype), lists])
    places = {number: place for place, number in enumerate(filled)}
    empty = len(filled)
    order = [None if value is None else places.get(number, empty) for number, value in enumerate(values)]
    return lists.gather(pl.Series(order, dtype=pl.UInt32)).alias(name)
