"""Lists of sources: lines of a .txt, a column of a .csv or .parquet, in their order, as a stream."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from yoloscale.datasets.file_kinds import is_image, is_video, other_file, read_head
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.formatting import and_more

_BATCH_ROWS = 32_768  # of a .parquet that are read at once: all of it would be as much memory as there are rows
_MOST_COLUMNS = 8  # that a message names
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def is_list(name: str) -> bool:
    """Whether a file is a list of sources, by its name."""
    return Path(name).suffix.lower() in _READERS


def sources(path: str, column: str) -> Iterator[str]:
    """What a list names, one by one. Blanks around a line or a cell of text are dropped, `#` is part of a path.

    A .csv of one column needs no header. Text that is not UTF-8 is taken as `os.fsdecode` takes it. Raises ConfigError
    (no list, an unknown column, a row without a source) and OSError.
    """
    return _READERS[Path(path).suffix.lower()](path, column)


def _lines(path: str, _column: str) -> Iterator[str]:
    _refuse_binary(path)
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:  # noqa: PTH123  # the name may not be UTF-8
        for line in file:
            if source := line.strip():
                yield source


def _cells(path: str, column: str) -> Iterator[str]:
    _refuse_binary(path)
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:  # noqa: PTH123
        reader = csv.reader(file)
        try:
            first = [cell.strip() for cell in next((row for row in reader if row), [])]
            rows: Iterator[list[str]] = reader
            if column not in first:
                if len(first) != 1 or not (is_image(first[0]) or is_video(first[0]) or "/" in first[0]):
                    raise _no_column(path, column, first)
                rows, first = chain([first], reader), [column]
            place = first.index(column)
            for row in rows:
                if not row:
                    continue
                if not (source := row[place].strip() if place < len(row) else ""):
                    raise _no_source(f"{path}:{reader.line_num}", column)
                yield source
        except csv.Error as error:
            found = f"{path}:{reader.line_num}: cannot be read ({error})"
            raise ConfigError(Problem("source", found, "save it as comma-separated UTF-8 text")) from None


def _values(path: str, column: str) -> Iterator[str]:
    import polars
    from polars.exceptions import PolarsError

    try:
        rows = polars.scan_parquet(path, glob=False, hive_partitioning=False)
        schema = rows.collect_schema()
    except PolarsError as error:
        found = f"{path} cannot be read as Parquet ({str(error).partition(chr(10))[0]})"
        raise ConfigError(Problem("source", found, "write or copy it again")) from None
    if column not in schema:
        raise _no_column(path, column, schema.names())
    if not isinstance(schema[column], (polars.String, polars.Categorical, polars.Enum)):
        found = f"column {column} of {path} is {schema[column]}, no text"
        raise ConfigError(Problem("predict.column", found, f"write the one with paths: {_names(schema.names())}"))
    values = rows.select(polars.col(column).cast(polars.String))
    first = 0
    while batch := values.slice(first, _BATCH_ROWS).collect()[column].to_list():
        for number, source in enumerate(batch, first):
            if not source:
                raise _no_source(f"row {number} of {path}", column)
            yield source
        first += len(batch)


_READERS: dict[str, Callable[[str, str], Iterator[str]]] = {".txt": _lines, ".csv": _cells, ".parquet": _values}


def _refuse_binary(path: str) -> None:
    head = read_head(path)
    if head.startswith(_UTF_16):
        raise ConfigError(Problem("source", f"{path} is UTF-16", "save the list as UTF-8"))
    if (other := other_file(path, head)) and head:
        raise ConfigError(Problem("source", f"{path} {other.what}", other.cure))
    if b"\0" in head:
        raise ConfigError(Problem("source", f"{path} is no text", "write one path a line, as UTF-8"))


def _no_column(path: str, column: str, columns: Sequence[str]) -> ConfigError:
    found = f"{path} has no column {column}, but {_names(columns)}" if columns else f"{path} is empty"
    return ConfigError(Problem("predict.column", found, "write the name of the column that has the paths"))


def _no_source(where: str, column: str) -> ConfigError:
    return ConfigError(Problem("source", f"{where}: {column} is empty", "write a path there, or leave the row out"))


def _names(columns: Sequence[str]) -> str:
    return and_more(columns, _MOST_COLUMNS)
