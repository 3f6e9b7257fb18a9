"""results.csv with Ultralytics' columns: one line per epoch, what its users' scripts and plots read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class ResultsCsv:
    """Appends epochs; on a resumed run the lines after the restored epoch are dropped first.

    Columns are fixed by the first line: epoch, time, train losses, metrics, validation losses, learning rates. A column
    that an epoch has no value for (no evaluation) repeats the last one, as in Ultralytics.
    """

    def __init__(self, path: Path, epochs_done: int) -> None:
        self._path = path
        self._last: dict[str, str] = {}
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines[1:] if int(line.split(",")[0]) <= epochs_done]
        self._columns = lines[0].split(",") if kept else []
        if kept:
            self._last = dict(zip(self._columns, kept[-1].split(","), strict=False))
        self._lines = lines[:1] + kept if kept else []

    def add(self, record: Mapping[str, float]) -> None:
        """One epoch: keys `epoch`, `time`, `train/…`, `metrics/…`, `val/…`, `lr/…`; others are left out."""
        values = {name: f"{value:.6g}" for name, value in record.items() if _rank(name) is not None}
        if not self._columns:
            self._columns = sorted(values, key=lambda name: _rank(name) or 0)
            self._lines = [",".join(self._columns)]
        self._last = {**self._last, **values}
        self._lines.append(",".join(self._last.get(name, "0") for name in self._columns))
        beside = self._path.with_name(f".{self._path.name}.writing")
        beside.write_text("\n".join(self._lines) + "\n")
        beside.replace(self._path)


def _rank(name: str) -> int | None:
    """Where a column stands; None: not a column."""
    for position, start in enumerate(("epoch", "time", "train/", "metrics/", "val/", "lr/")):
        if name == start or (start.endswith("/") and name.startswith(start)):
            return position
    return None
