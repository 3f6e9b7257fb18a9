"""Which job arrays of a sweep were submitted together: a site may not take all of its points in one."""

from __future__ import annotations

import json
from collections.abc import Sequence

from yoloscale.runs.sweep_directory import SweepDirectory
from yoloscale.system.files import write_whole


def put_down(sweep: SweepDirectory, arrays: Sequence[str]) -> None:
    """Put the ids of arrays on record that were submitted together; the caller has taken the sweep."""
    write_whole(sweep.arrays, json.dumps([*_read(sweep), list(arrays)]))


def together_with(sweep: SweepDirectory, array: str) -> frozenset[str]:
    """The array, and those that were submitted with it; of ids that are used again the newest counts."""
    return next((frozenset(ids) for ids in reversed(_read(sweep)) if array in ids), frozenset({array}))


def _read(sweep: SweepDirectory) -> list[list[str]]:
    try:
        groups: list[list[str]] = json.loads(sweep.arrays.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return groups
