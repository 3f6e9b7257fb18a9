"""A unit of which no source is there: that is a mount that is missing, more likely than files that have all gone."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from yoloscale.manifest import remote
from yoloscale.manifest.content import NO_FILE
from yoloscale.manifest.table import Item
from yoloscale.predictions.rows import Row
from yoloscale.predictions.schema import Status


def refuse_missing(items: Sequence[Item], rows: Iterable[Row]) -> None:
    """Raise OSError where none of the files or hosts of a unit is there, which are two at least.

    Args:
        items: all of the unit.
        rows: of the same items, in any order.
    """
    files = {item.path for item in items}
    if len(files) > 1 and all(_is_missing(row) for row in rows):
        found = f"none of the {len(files)} files of this unit is there, {items[0].source} being the first"
        instead = "see to it that they can be reached from this machine, and resume the run"
        raise FileNotFoundError(errno.ENOENT, f"{found}; {instead}")


def _is_missing(row: Row) -> bool:
    reason = NO_FILE if remote.scheme_of(row.source) is None else remote.NO_HOST
    return row.status is Status.unreadable and row.error == reason
