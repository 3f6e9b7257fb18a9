"""Views of a prediction once all its parts are there: shared out like them, resumable, and the same whoever makes them.

| below the run directory | holds |
| --- | --- |
| coco.json, coco-images.csv, labels/, pictures/, crops/ | the views |
| views.part/names.npz | which names several images would share |
| views.part/<request>/done/<6 digits>.json | pieces that are done: 0 is coco.json where it is wanted, then the units |
| views.part/<request>/at/ | the image that each process is at (trail.py) |
| claims/views-<request>/ | who works at which piece (predictions/claims.py) |
| views.part/<piece>.<8 digits>/ | files on their way; left by writers that were killed |

<request> is a digest of what is asked for: a run that goes on with other views begins them from the first piece.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from yoloscale.manifest.content import Reader
from yoloscale.predictions import coco
from yoloscale.predictions.claims import DEATHS, Claim, Claimant, Claims, drop
from yoloscale.predictions.names import Names, load, names_of
from yoloscale.predictions.views import COCO, COCO_FILE, COCO_IMAGES_FILE, FOLDERS, WORK_FOLDER
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import sync, write_whole
from yoloscale.worker.predict.views.request import ViewRequest
from yoloscale.worker.predict.views.trail import Trail, blamed
from yoloscale.worker.predict.views.unit import Maker, UnitViews, rows_of

WORK = "views"  # of claims
MOST_DEATHS = 2 * DEATHS  # of processes at one unit without a hint at an image, until its images are left alone
_POLL_S = 0.5
_SHOWN = 100  # skipped images that are named in result.json


class StoppedOnRequestError(Exception):
    """A piece was left amid; nothing of it has its place."""


_NOT_ITS_DOING = (StoppedOnRequestError, OSError, KeyboardInterrupt)  # that of a piece which ends so


@dataclass
class ViewsSummary:
    """All views of a run.

    Args:
        files: by view; of coco.json, annotations.
        skipped: how many images have no picture or crops though they were predicted.
        examples: the first of these: index, source, reason.
    """

    files: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    examples: list[tuple[int, str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For result.json."""
        shown = [{"index": index, "source": source, "reason": reason} for index, source, reason in self.examples]
        return {**self.files, "skipped": self.skipped, "skipped_first": shown}

    @property
    def remark(self) -> str | None:
        """What a person should be told, if anything."""
        if not self.skipped:
            return None
        index, source, reason = self.examples[0]
        return f"{self.skipped} predicted images have no picture or crops, the first is {index} ({source}): {reason}"


def make_views(
    request: ViewRequest,
    run: RunDirectory,
    claimant: Claimant,
    timeout_s: float,
    is_stopped: Callable[[], bool],
    base: Path = Path(),
) -> ViewsSummary | None:
    """Make all views, together with the other ranks; returns once all are there, or None when stopped on request.

    Any rank calls it, at any time after the last part is there, until result.json is: then it does nothing. No
    collective. `is_stopped` is called after each image: the place for a heartbeat. `base`: the folder that relative
    sources refer to. Raises OSError where the disk is full, RunLost where the folder is another run's.
    """
    if not request.views or run.result.exists():
        return ViewsSummary()
    run.check()
    try:
        with Reader(base) as reader:
            return _Pieces(request, run, reader, is_stopped).work(claimant, timeout_s)
    except StoppedOnRequestError:
        return None
    except FileNotFoundError:
        if not run.result.exists():  # else others took this rank for gone, and have come to the end and cleared up
            raise
    return ViewsSummary()


@dataclass
class _Pieces:
    """The pieces of one request, as one rank works at them."""

    request: ViewRequest
    run: RunDirectory
    reader: Reader
    is_stopped: Callable[[], bool]
    _maker: Maker | None = None

    def work(self, claimant: Claimant, timeout_s: float) -> ViewsSummary:
        """Make one piece after another until all are there, whoever made them. Raises StoppedOnRequestError."""
        request, work = self.request, self._folder
        for folder in ("done", "at"):
            (work / folder).mkdir(parents=True, exist_ok=True)
        pieces = self._first + (request.units if request.views & FOLDERS.keys() else 0)
        name = f"{WORK}-{request.digest}"
        claims = Claims(self.run.path, name, pieces, partial(_done, work), claimant, timeout_s)
        while not self.run.result.exists():
            claim = claims.next()
            if claims.are_over:
                return _summary(work)
            if claim is not None:
                self._do(claim)
            elif self.is_stopped():
                raise StoppedOnRequestError
            else:
                time.sleep(_POLL_S)
        return ViewsSummary()

    def _do(self, claim: Claim) -> None:
        """Make a piece, and say so.

        The claim stays behind where the process dies, or ends by an exception that is not the disk's or a person's:
        whoever comes next is careful.
        """
        pace = partial(_move_on, claim, self.is_stopped)
        with Trail(self._folder / "at" / claim.path.name) as trail:
            try:
                views = self._views(claim, trail, pace)
                write_whole(_marker(self._folder, claim.unit), views.as_json())
            except _NOT_ITS_DOING:
                trail.forget()
                claim.release()
                raise
            trail.forget()
            claim.release()

    def _views(self, claim: Claim, trail: Trail, pace: Callable[[], None]) -> UnitViews:
        request, run = self.request, self.run
        if claim.unit < self._first:
            return _make_coco(request, run, pace)
        self._maker = self._maker or Maker(request, run, _names(request, run, pace), self.reader)
        left_out = blamed(self._folder / "at", claim.unit)
        is_riddle = claim.deaths >= MOST_DEATHS and not left_out
        return self._maker.make(claim.unit - self._first, pace, trail.at, None if is_riddle else left_out)

    @property
    def _folder(self) -> Path:
        return self.run.path / WORK_FOLDER / self.request.digest

    @property
    def _first(self) -> int:
        """The first piece that is a unit."""
        return 1 if COCO in self.request.views else 0


def discard(run_path: Path) -> None:
    """Remove what is of no use once result.json is there; also claims that a rank made as others came to the end."""
    shutil.rmtree(run_path / WORK_FOLDER, ignore_errors=True)
    drop(run_path)


def _move_on(claim: Claim, is_stopped: Callable[[], bool]) -> None:
    claim.beat()
    if is_stopped():
        raise StoppedOnRequestError


def _marker(work: Path, piece: int) -> Path:
    return work / "done" / f"{piece:06d}.json"


def _done(work: Path) -> set[int]:
    return {int(path.stem) for path in (work / "done").glob("*.json")}


def _summary(work: Path) -> ViewsSummary:
    summary = ViewsSummary()
    for path in sorted((work / "done").glob("*.json")):
        views = json.loads(path.read_bytes())
        for view, count in views["files"].items():
            summary.files[view] = summary.files.get(view, 0) + count
        summary.skipped += len(views["skipped"])
        summary.examples += [tuple(each) for each in views["skipped"][: _SHOWN - len(summary.examples)]]
    return summary


def _names(request: ViewRequest, run: RunDirectory, pace: Callable[[], None]) -> Names:
    """The names of all images, from the rank that was first to work them out."""
    path = run.path / WORK_FOLDER / "names.npz"
    try:
        return load(path)
    except FileNotFoundError:
        pass

    def sources() -> Iterator[tuple[str, int | None]]:
        for unit in range(request.units):
            pace()
            for row in rows_of(run.path, unit, ("source", "frame")):
                yield row["source"], row["frame"]

    names = names_of(sources())
    names.save(path)
    return names


def _make_coco(request: ViewRequest, run: RunDirectory, pace: Callable[[], None]) -> UnitViews:
    """Write coco.json and coco-images.csv, of the rows of all units, in the memory of one."""

    def rows(columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        for unit in range(request.units):
            for row in rows_of(run.path, unit, columns):
                pace()
                yield row

    work = run.path / WORK_FOLDER / f"coco.{secrets.token_hex(4)}"
    work.mkdir()
    try:
        with (work / COCO_FILE).open("w", encoding="utf-8") as file:
            count = coco.write(file, rows, request.names)
        with (work / COCO_IMAGES_FILE).open("w", encoding="utf-8", newline="") as file:
            coco.write_images(file, rows(coco.IMAGE_COLUMNS))
        run.check()
        for name in (COCO_IMAGES_FILE, COCO_FILE):
            sync(work / name)
            (work / name).replace(run.path / name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return UnitViews(files={COCO: count})
