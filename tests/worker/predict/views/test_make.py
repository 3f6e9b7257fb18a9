"""All views of a run, by one rank and by several, stopped, killed, with images that have gone."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.worker.predict.views.conftest import HEIGHT, WIDTH, photo, request

from yoloscale.manifest.remote import OutageError
from yoloscale.predictions.claims import Claimant
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.predict.views import make as module
from yoloscale.worker.predict.views import unit
from yoloscale.worker.predict.views.make import ViewsSummary, discard, make_views
from yoloscale.worker.predict.views.request import Drawing, ViewRequest
from yoloscale.worker.predict.views.unit import Row

ALL = ("coco", "txt", "pictures", "crops")
FILES = {
    "labels/x/a@0.txt",
    "labels/x/a@1.txt",
    "labels/y/a.txt",
    "pictures/x/a@0.jpg",
    "pictures/x/a@1.jpg",
    "pictures/x/b.jpg",
    "pictures/y/a.jpg",
    "crops/disc/x/a@0-0.jpg",
    "crops/a-b/x/a@0-1.jpg",
    "crops/disc/x/a@1-0.jpg",
    "crops/disc/y/a-0.jpg",
    "crops/a-b/y/a-1.jpg",
}


def make(run: RunDirectory, wanted: ViewRequest, stop_after: int | None = None, rank: int = 0) -> ViewsSummary | None:
    calls = iter(range(1000))
    return make_views(
        wanted, run, Claimant(rank, 2), 30.0, lambda: stop_after is not None and next(calls) >= stop_after
    )


def files(run: RunDirectory) -> dict[str, str]:
    """Digests of all files of the views."""
    tops = [run.path / name for name in ("labels", "pictures", "crops")]
    paths = [path for top in tops for path in top.rglob("*") if path.is_file()]
    paths += list(run.path.glob("coco*"))
    return {str(path.relative_to(run.path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_all_views(five: RunDirectory) -> None:
    summary = make(five, request(*ALL, save_conf=True))
    assert summary is not None
    assert set(files(five)) == {*FILES, "coco.json", "coco-images.csv"}
    assert summary.as_json() == {"coco": 5, "labels": 3, "pictures": 4, "crops": 5, "skipped": 0, "skipped_first": []}
    assert summary.remark is None
    line = (five.path / "labels/x/a@1.txt").read_text()
    assert line == f"0 {14 / WIDTH:g} {11.5 / HEIGHT:g} {20 / WIDTH:g} {17 / HEIGHT:g} 0.9\n"
    with Image.open(five.path / "crops/disc/x/a@1-0.jpg") as crop:
        assert crop.size == (29, 25)  # 20 × 17, 1.02 times that and 10 more, cut where the image ends
    with Image.open(five.path / "pictures/x/b.jpg") as picture:
        assert picture.size == (WIDTH, HEIGHT)
    coco = json.loads((five.path / "coco.json").read_text())
    assert [image["id"] for image in coco["images"]] == [0, 1, 2, 4]
    sources = list(csv.DictReader((five.path / "coco-images.csv").open()))
    assert [row["status"] for row in sources] == ["ok", "ok", "empty", "unreadable", "ok"]


def test_boxes_are_drawn_where_they_are(five: RunDirectory) -> None:
    make(five, request("pictures"))
    with Image.open(five.path / "pictures/x/a@1.jpg") as drawn, Image.open(five.path.parent / "in/x/a.jpg") as source:
        changed = np.abs(np.asarray(drawn, dtype=int) - np.asarray(source, dtype=int)).max(axis=2)
    assert changed[3:21, 4].mean() > changed[25:, 30:].mean() + 30  # the left edge; a corner far from the box
    assert not (five.path / "crops").exists()


def test_a_second_call_and_a_second_rank_change_nothing(five: RunDirectory) -> None:
    make(five, request(*ALL))
    before = files(five)
    assert make(five, request(*ALL), rank=1) == make(five, request(*ALL))
    assert files(five) == before
    discard(five.path)
    assert not (five.path / "views.part").exists()
    five.result.write_text("{}")
    assert make(five, request(*ALL)) == ViewsSummary()
    assert not (five.path / "views.part").exists()


def test_stopped_at_any_image_and_resumed_the_files_are_the_same(five: RunDirectory) -> None:
    make(five, request(*ALL))
    expected = files(five)
    stops = 0
    for after in range(0, 48, 3):
        for name in ("views.part", "labels", "pictures", "crops"):
            shutil.rmtree(five.path / name, ignore_errors=True)
        for path in five.path.glob("coco*"):
            path.unlink()
        if make(five, request(*ALL), stop_after=after) is None:
            stops += 1
            assert set(files(five)) < set(expected)
            assert not list((five.path / "views.part").glob("unit-*"))
            assert make(five, request(*ALL)) is not None
        assert files(five) == expected
    assert 6 <= stops < 16, stops


def test_what_a_killed_writer_has_left_is_of_no_matter(five: RunDirectory) -> None:
    make(five, request(*ALL))
    expected = files(five)
    done = f"views.part/{request(*ALL).digest}/done"
    lost = [f"{done}/{piece:06d}.json" for piece in range(3)]
    for name in (*lost, "labels/x/a@0.txt", "pictures/x/b.jpg", "coco.json"):
        (five.path / name).unlink()
    (five.path / "views.part/unit-000001.0a0b0c0d/labels").mkdir(parents=True)
    (five.path / "views.part/unit-000001.0a0b0c0d/labels/half.txt").write_text("0 0.")
    make(five, request(*ALL))
    assert files(five) == expected


def test_images_that_have_gone_or_are_others_by_now_are_left_out_and_told_of(five: RunDirectory) -> None:
    (five.path.parent / "in/x/a.png").unlink()
    photo(five.path.parent / "in/y/a.png", 3, (50, 50))
    (five.path.parent / "in/x/b.png").write_text("no image")
    summary = make(five, request(*ALL))
    assert summary is not None
    lost = {"pictures/x/a@0.jpg", "pictures/y/a.jpg", "pictures/x/b.jpg", *(name for name in FILES if "crops" in name)}
    lost.discard("crops/disc/x/a@1-0.jpg")
    assert set(files(five)) == {*FILES, "coco.json", "coco-images.csv"} - lost
    assert summary.skipped == 3
    reasons = {each["index"]: each["reason"] for each in summary.as_json()["skipped_first"]}
    assert reasons[0] == "there is no such file"
    assert reasons[4] == "it was 48×32 pixels when it was predicted, and is 50×50 now"
    assert 2 in reasons
    assert summary.remark is not None
    assert summary.remark.startswith("3 predicted images have no picture or crops, the first is 0 (")


def test_without_pictures_no_image_is_opened(five: RunDirectory) -> None:
    shutil.rmtree(five.path.parent / "in")
    summary = make(five, request("txt", "coco"))
    assert summary == ViewsSummary({"coco": 5, "labels": 3})


def test_no_views(five: RunDirectory) -> None:
    assert make(five, request()) == ViewsSummary()
    assert not (five.path / "views.part").exists()


def test_another_run_has_taken_the_folder(five: RunDirectory) -> None:
    from yoloscale.runs.identity import RunLost

    five.config.write_text("kind: predict\nid: other\n")
    with pytest.raises(RunLost):
        make(five, request("txt"))
    assert not files(five)


def claims_of(run: RunDirectory, wanted: ViewRequest) -> Path:
    return run.path / "claims" / f"views-{wanted.digest}"


def die(run: RunDirectory, wanted: ViewRequest, deaths: int) -> None:
    """Leave claims of the first unit behind, of processes that are gone."""
    folder = claims_of(run, wanted)
    folder.mkdir(parents=True)
    for number in range(1, deaths + 1):
        (folder / f"000000.{number}").write_text("")
        os.utime(folder / f"000000.{number}", (1, 1))


class Killed(BaseException):
    """Ends a rank as a signal would, as far as its files are concerned."""


def killed_at(run: RunDirectory, wanted: ViewRequest, monkeypatch: pytest.MonkeyPatch, *indices: int) -> None:
    """Leave what processes leave that are killed as they draw these images, one after the other."""
    for index in indices:

        def draw(row: Row, *_: object, at: int = index) -> bytes:
            if row["index"] == at:
                raise Killed
            return b""

        with monkeypatch.context() as patch:
            patch.setattr(unit, "picture_file", draw)
            with pytest.raises(Killed):
                make(run, wanted)
        let_die(run, wanted)


def let_die(run: RunDirectory, wanted: ViewRequest) -> None:
    """Make the claims those of a process that is gone: this one lives."""
    for claim in claims_of(run, wanted).iterdir():
        claim.write_text("")
        os.utime(claim, (1, 1))


def test_an_image_that_ends_two_processes_is_left_out_and_no_other_one(
    five: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = request("txt", "pictures")
    killed_at(five, wanted, monkeypatch, 1, 1)
    summary = make(five, wanted)
    assert summary is not None
    assert summary.files == {"labels": 3, "pictures": 3}
    assert [(index, reason) for index, _, reason in summary.examples] == [
        (1, "processes that opened it were killed, several times")
    ]


def test_kills_from_outside_amid_one_unit_lose_nothing(five: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = request("txt", "pictures")
    killed_at(five, wanted, monkeypatch, 0, 1)
    summary = make(five, wanted)
    assert summary is not None
    assert (summary.files, summary.skipped) == ({"labels": 3, "pictures": 4}, 0)


@pytest.mark.parametrize(("deaths", "pictures"), [(3, 4), (4, 2)])
def test_a_unit_that_kills_without_a_hint_at_an_image_is_not_drawn_in_the_end(
    five: RunDirectory, deaths: int, pictures: int
) -> None:
    wanted = request("txt", "pictures")
    die(five, wanted, deaths)
    summary = make(five, wanted)
    assert summary is not None
    assert summary.files == {"labels": 3, "pictures": pictures}


@pytest.mark.parametrize("deaths", [0, 1])
def test_a_stop_leaves_neither_a_claim_nor_a_trail(five: RunDirectory, deaths: int) -> None:
    wanted = request("pictures")
    if deaths:
        die(five, wanted, deaths)
    assert make(five, wanted, stop_after=1) is None
    assert len(list(claims_of(five, wanted).iterdir())) == deaths
    assert not list((five.path / "views.part" / wanted.digest / "at").iterdir())


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(cv2.error("of OpenCV"), id="opencv"),
        pytest.param(OSError("encoder error -2"), id="pillow"),
        pytest.param(ValueError("of Ultralytics"), id="ultralytics"),
        pytest.param(OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG)), id="name"),
    ],
)
def test_an_image_that_cannot_be_drawn_is_left_out_and_told_of(
    five: RunDirectory, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    picture_file = unit.picture_file

    def draw(row: Row, *more: Any) -> bytes:
        if row["index"] == 1:
            raise error
        return picture_file(row, *more)

    monkeypatch.setattr(unit, "picture_file", draw)
    summary = make(five, request(*ALL))
    assert summary is not None
    assert summary.files == {"coco": 5, "labels": 3, "pictures": 3, "crops": 4}
    [(index, _, reason)] = summary.examples
    assert index == 1
    assert type(error).__name__ in reason


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OutageError("host: no answer"), MemoryError()])
def test_what_is_not_the_images_doing_ends_the_rank_and_is_no_gap(
    five: RunDirectory, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    wanted = request("pictures")

    def read(*_: object) -> None:
        raise error

    monkeypatch.setattr(unit, "read_image", read)
    with pytest.raises(type(error)):
        make(five, wanted)
    assert bool(list(claims_of(five, wanted).iterdir())) == isinstance(error, MemoryError)
    monkeypatch.undo()
    let_die(five, wanted)
    summary = make(five, wanted)
    assert summary is not None
    assert (summary.files, summary.skipped) == ({"pictures": 4}, 0)


@pytest.mark.parametrize(
    "later",
    [
        request("coco", "pictures", "txt"),
        request("txt", save_conf=True),
        request("pictures", drawing=Drawing(line_width=3)),
        request("crops"),
    ],
)
def test_views_that_are_others_than_those_it_was_stopped_amid_are_all_made(
    five: RunDirectory, later: ViewRequest
) -> None:
    alone = five.path.parent / "alone"
    shutil.copytree(five.path, alone)
    assert make(five, request("txt", "pictures"), stop_after=6) is None
    assert (five.path / "labels").exists()
    summary = make(RunDirectory(alone).owned_by("abc"), later)
    assert make(five, later) == summary
    expected = files(RunDirectory(alone))
    assert expected
    assert {name: digest for name, digest in files(five).items() if name in expected} == expected


@pytest.mark.parametrize("at", ["_done", "_summary", "Maker", "_marker"])
def test_a_rank_that_is_late_finds_the_run_at_its_end_whatever_it_is_at(
    five: RunDirectory, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    real = getattr(module, at)

    def end(*arguments: Any) -> Any:
        if not five.result.exists():
            monkeypatch.setattr(module, at, real)
            if claims_of(five, request(*ALL)).exists():
                let_die(five, request(*ALL))
            make(five, request(*ALL), rank=1)
            five.result.write_text("{}")
            discard(five.path)
        return real(*arguments)

    monkeypatch.setattr(module, at, end)
    summary = make(five, request(*ALL))
    assert summary is not None
    assert set(files(five)) == {*FILES, "coco.json", "coco-images.csv"}


def test_a_file_that_is_missing_before_the_end_is_an_error(five: RunDirectory) -> None:
    (five.path / "manifest.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        make(five, request("txt"))


def test_files_are_synced_in_their_places_before_the_unit_counts_as_done(
    five: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, states = request("txt"), list[tuple[int, int]]()

    def note(folder: Path) -> None:
        done = five.path / "views.part" / wanted.digest / "done"
        states.append((len(list((five.path / "labels").rglob("*.txt"))), len(list(done.iterdir()))))

    monkeypatch.setattr(unit, "sync_all", note)
    make(five, wanted)
    assert states == [(2, 0), (3, 1), (3, 2)]  # labels in their places, units that are done
