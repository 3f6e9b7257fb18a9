"""results.csv with Ultralytics' columns: one line per epoch, what its users' scripts and plots read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from yoloscale.system.files import write_whole


class ResultsCsv:
    """Appends epochs; on a resumed run the lines after the restored epoch are dropped first.

    Columns: epoch, time, train losses, metrics, validation losses, learning rates. One that an epoch has no value for
    (no evaluation) repeats the last one, as in Ultralytics; before the first one it is 0.
    """

    def __init__(self, path: Path, epochs_done: int) -> None:
        self._path = path
        lines = [line.split(",") for line in path.read_text().splitlines()] if path.exists() else []
        rows = [dict(zip(lines[0], line, strict=False)) for line in lines[1:]]
        self._rows = [row for row in rows if int(row["epoch"]) <= epochs_done]

    def add(self, record: Mapping[str, float]) -> None:
        """One epoch: keys `epoch`, `time`, `train/…`, `metrics/…`, `val/…`, `lr/…`; others are left out.

        One that a roll-back has made the run train again replaces the line it had, and those after it.
        """
        self._rows = [row for row in self._rows if int(row["epoch"]) < record["epoch"]]
        values = {name: f"{value:.6g}" for name, value in record.items() if _rank(name) is not None}
        self._rows.append({**(self._rows[-1] if self._rows else {}), **values})
        columns = sorted(self._rows[-1], key=lambda name: _rank(name) or 0)
        lines = [columns, *([row.get(name, "0") for name in columns] for row in self._rows)]
        write_whole(self._path, "".join(",".join(line) + "\n" for line in lines))


def _rank(name: str) -> int | None:
    """Where a column stands; None: not a column."""
    for position, start in enumerate(("epoch", "time", "train/", "metrics/", "val/", "lr/")):
        if name == start or (start.endswith("/") and name.startswith(start)):
            return position
    return None
