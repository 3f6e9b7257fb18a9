"""The views of one unit: a file an image in labels/ and pictures/, a file an object in crops/."""

from __future__ import annotations

import errno
import json
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from yoloscale.manifest import table
from yoloscale.manifest.content import Reader
from yoloscale.manifest.content import Unreadable as NoContent
from yoloscale.manifest.remote import OutageError
from yoloscale.manifest.table import Item
from yoloscale.predictions import labels, parts
from yoloscale.predictions.coco import READABLE
from yoloscale.predictions.names import Names
from yoloscale.predictions.views import CROPS, FOLDERS, PICTURES, SUFFIXES, TXT, WORK_FOLDER
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import sync_all
from yoloscale.worker.predict.views.images import NotDrawn, crop_files, picture_file, read_image
from yoloscale.worker.predict.views.request import ViewRequest
from yoloscale.yolo.inference.drawing import outline
from yoloscale.yolo.inference.pictures import Unreadable

Row = Mapping[str, Any]
_IMAGE_FAULTS = (None, errno.ENOENT, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)  # None: what Pillow raises


@dataclass
class UnitViews:
    """What became of one unit: files by view, and of which images pictures and crops are missing, with the reason."""

    files: dict[str, int] = field(default_factory=dict)
    skipped: list[tuple[int, str, str]] = field(default_factory=list)  # index, source, reason

    def as_json(self) -> str:
        """The content of the unit's marker."""
        return json.dumps({"files": self.files, "skipped": self.skipped})


def rows_of(run_path: Path, unit: int, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a part as Python data, in the order of the manifest, with these columns or with all."""
    chosen = None if columns is None else list(columns)
    return pl.read_parquet(parts.path(run_path, unit), columns=chosen).iter_rows(named=True)


@dataclass(frozen=True)
class Maker:
    """What makes the files of units, one after the other."""

    request: ViewRequest
    run: RunDirectory
    names: Names
    reader: Reader

    def make(
        self, unit: int, on_image: Callable[[], None], on_draw: Callable[[int], None], left_out: Collection[int] | None
    ) -> UnitViews:
        """Make the files of one unit and give them their places, synced; the same files, whoever does, how often so.

        Raises OSError where the disk is full or images cannot be reached now, and RunLost where the folder is another
        run's.

        Args:
            on_image: called after each image; what it raises ends the unit, of which nothing has its place then.
            on_draw: called before an image is opened, with its index.
            left_out: indices of images that are not opened; None: all of the unit.
        """
        run, size = self.run, self.request.unit
        work = run.path / WORK_FOLDER / f"unit-{unit:06d}.{secrets.token_hex(4)}"
        views = UnitViews({FOLDERS[view]: 0 for view in sorted(self.request.views & FOLDERS.keys())})
        items = {item.index: item for item in table.read(run.manifest, unit * size, size)}
        work.mkdir()
        try:
            for row in rows_of(run.path, unit):
                if row["status"] in READABLE:
                    draws = left_out is not None and row["index"] not in left_out
                    reason = self._make(row, items[row["index"]], work, views, on_draw if draws else None)
                    if reason is not None:
                        views.skipped.append((row["index"], row["source"], reason))
                on_image()
            run.check()
            _move(work, run.path)
            sync_all(run.path)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return views

    def _make(
        self, row: Row, item: Item, work: Path, views: UnitViews, on_draw: Callable[[int], None] | None
    ) -> str | None:
        """Write the files of one image below `work` and count them; why one cannot be made, nor those after it.

        Raises OSError and MemoryError for what is not the image's doing.
        """
        try:
            for view, name, content in self._files(row, item, on_draw):
                _write(work / FOLDERS[view] / f"{name}{SUFFIXES[view]}", content)
                views.files[FOLDERS[view]] += 1
        except (NotDrawn, NoContent, Unreadable) as error:
            return str(error)
        except OSError as error:
            if isinstance(error, OutageError) or error.errno not in _IMAGE_FAULTS:
                raise
            return f"{type(error).__name__}: {error.strerror or error}"
        except MemoryError:
            raise
        except Exception as error:  # of OpenCV, Pillow or Ultralytics, which draw
            return " ".join(f"{type(error).__name__}: {error}".split())
        return None

    def _files(self, row: Row, item: Item, on_draw: Callable[[int], None] | None) -> Iterator[tuple[str, str, bytes]]:
        """View, name without suffix and content of each file of one image."""
        request = self.request
        name = self.names.of(row["index"], row["source"], row["frame"])
        if TXT in request.views:
            text = labels.text(row, request.names, save_conf=request.save_conf, outline=outline)
            if text:
                yield TXT, name, text.encode()
        needs_crops = CROPS in request.views and bool(row.get("scores"))
        if PICTURES not in request.views and not needs_crops:
            return
        if on_draw is None:
            raise NotDrawn("processes that opened it were killed, several times")
        on_draw(row["index"])
        image = read_image(self.reader, item, row)
        if PICTURES in request.views:
            yield PICTURES, name, picture_file(row, image, request, self.run.path)
        if needs_crops:
            for place, content in crop_files(row, image, request.names, name):
                yield CROPS, place, content


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _move(work: Path, to: Path) -> None:
    """Give all files below `work` their places below `to`; they replace their like."""
    for path in sorted(work.rglob("*")):
        if path.is_file():
            target = to / path.relative_to(work)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
