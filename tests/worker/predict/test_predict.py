"""One rank in this process, from the frozen config to its exit code."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.worker.predict.prediction_runs import config_of, digests, make_run, write_images

from yoloscale.config.freeze import load
from yoloscale.config.schema import PredictConfig
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT, SETTING_UP
from yoloscale.engine.stop_requests import Stop, StopRequests
from yoloscale.errors import ConfigError
from yoloscale.exit_codes import FINISHED, INTERRUPTED, STOPPED
from yoloscale.manifest.table import Item
from yoloscale.predictions import claims, model, parts
from yoloscale.predictions.rows import Row
from yoloscale.predictions.schema import Status
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.variables import ATTEMPT
from yoloscale.worker.predict import unit_loop, units
from yoloscale.worker.predict.predict import predict

IMAGES, UNIT = 10, 4  # units of 4, 4 and 2


@pytest.fixture
def run(weights: Path, tmp_path: Path) -> Iterator[RunDirectory]:
    images = write_images(tmp_path / "images", IMAGES)
    yield make_run(tmp_path / "run", config_of(weights, images, unit=UNIT))
    HEARTBEAT.is_settled = False
    HEARTBEAT.at(SETTING_UP)


def work(run: RunDirectory, requests: StopRequests | None = None, ranks: Ranks | None = None) -> int:
    config = load(run.config, of=PredictConfig)
    return predict(config, run, ranks or Ranks(), 1, requests or StopRequests())


def test_every_image_is_a_row_and_the_run_has_its_result(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "images/0005.png").unlink()  # after the manifest was made
    (tmp_path / "images/0006.png").write_bytes(b"not an image")

    assert work(run) == FINISHED

    rows = parts.scan(run.path).collect()
    assert rows["index"].to_list() == list(range(IMAGES))
    assert [rows["status"][index] for index in (4, 5, 6)] == ["ok", "unreadable", "unreadable"]
    assert rows["boxes"].list.len().to_list() == rows["scores"].list.len().to_list()
    assert rows["height"].to_list()[:4] == [64, 64, 40, 96]
    result = json.loads(run.result.read_text())
    assert (result["images"], result["ok"], result["unreadable"]) == (IMAGES, IMAGES - 2, 2)
    assert result["detections"] == rows["scores"].list.len().sum() > IMAGES
    assert result["images_per_s"] > 0
    assert len((run.path / "failures.csv").read_text().splitlines()) == 3
    assert model.read(run.path).names[0]
    kinds = [type(event) for event in events.history(run)]
    assert kinds.count(events.UnitDone) == 3
    assert kinds[-1] is events.Finished
    lines = list(jsonl.read(run.metrics))
    assert [(line["kind"], line["images_done"]) for line in lines][-1] == ("progress", IMAGES)


def test_a_rank_that_is_not_first_can_end_the_run_alone(run: RunDirectory) -> None:
    assert work(run, ranks=Ranks(3, 4)) == FINISHED
    assert run.result.exists()
    told = events.history(run)
    assert not any(isinstance(event, events.PredictionStarted) for event in told)
    assert [(event.rank, event.pid) for event in told if isinstance(event, events.Joined)] == [(3, os.getpid())]


@pytest.mark.parametrize(("stop", "exit_code"), [(Stop.terminate, STOPPED), (Stop.interrupt, INTERRUPTED)])
def test_a_stop_leaves_nothing_half_done_and_the_run_goes_on(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, stop: Stop, exit_code: int
) -> None:
    requests, count = StopRequests(), iter(range(100))
    row_of = units.row_of

    def ask_amid_the_second_unit(*arguments: object) -> object:
        if next(count) == UNIT + 1:
            requests.ask(stop, "SIGTERM")
        return row_of(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(units, "row_of", ask_amid_the_second_unit)
        assert work(run, requests) == exit_code

    assert next(count) == UNIT + 2  # it did not go on with the unit
    assert parts.done(run.path) == {0}
    assert list((run.path / claims.FOLDER / "units").iterdir()) == []
    assert not run.result.exists()
    said = events.history(run)[-1]
    assert isinstance(said, events.Preempted)
    assert (said.step, said.epoch, said.signal) == (1, 0, "SIGTERM")

    first = digests(run)
    assert work(run) == FINISHED
    assert digests(run).items() >= first.items()
    assert len(digests(run)) == 3


@pytest.mark.parametrize("launched", [True, False])
def test_a_stop_file_stops(run: RunDirectory, monkeypatch: pytest.MonkeyPatch, launched: bool) -> None:
    if launched:
        monkeypatch.setenv(ATTEMPT, "1")
    run.stop_request.touch()
    assert work(run) == STOPPED
    assert run.stop_request.exists() == launched  # the launcher removes it once all ranks have ended
    assert parts.done(run.path) == set()


def test_any_rank_puts_a_stop_by_the_file_on_record_once(run: RunDirectory) -> None:
    run.stop_request.touch()
    for rank in (2, 1):
        assert work(run, ranks=Ranks(rank, 3)) == STOPPED
        assert run.stop_request.exists()
    said = [event for event in events.history(run) if isinstance(event, events.Preempted)]
    assert [event.signal for event in said] == ["STOP"]

    requests = StopRequests()
    requests.ask(Stop.terminate, "SIGTERM")
    run.stop_request.unlink()
    assert work(run, requests, Ranks(1, 3)) == STOPPED  # that rank alone: the run goes on
    assert len([event for event in events.history(run) if isinstance(event, events.Preempted)]) == 1


def test_a_full_disk_ends_the_run_with_a_sentence_and_it_goes_on_later(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = parts._write

    def full_at_the_second(frame: object, to: Path) -> None:
        write(frame, to)  # type: ignore[arg-type]
        if "000001" in to.name:
            os.truncate(to, 100)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(parts, "_write", full_at_the_second)
        with pytest.raises(parts.PartNotWritten, match=r"No space left on device.*make room"):
            work(run)

    assert parts.done(run.path) == {0}
    assert list((run.path / claims.FOLDER / "units").iterdir()) == []  # it was not the unit's doing
    assert work(run) == FINISHED


class Isolated:
    """In the place of processes of their own: an image that cannot be done, and the others."""

    def __init__(self, *_: object) -> None:
        self.units: list[int] = []

    def __call__(self, *_: object) -> Isolated:
        return self

    def rows(self, items: list[Item], place: units.Place, moved_on: Callable[[int], None]) -> list[Row]:
        self.units.append(place.unit)
        moved_on(len(items))
        return [units.lost_row(item, Status.failed, "of the model") for item in items]


def raise_at(place: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> Isolated:
    """Let the image at this place of the manifest raise, in this process. Returns what is done in others."""
    row_of, isolated = units.row_of, Isolated()

    def fail(item: Item, *others: object) -> object:
        if item.index == place:
            raise error
        return row_of(item, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(units, "row_of", fail)
    monkeypatch.setattr(unit_loop, "Isolation", isolated)
    return isolated


def test_an_exception_in_an_image_is_isolated_at_once(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    isolated = raise_at(UNIT + 1, ValueError("no such operation"), monkeypatch)
    assert work(run) == FINISHED

    assert isolated.units == [1]
    rows = parts.scan(run.path).collect()
    assert rows["status"].to_list() == ["ok"] * UNIT + ["failed"] * UNIT + ["ok"] * 2
    warnings = [event.message for event in events.history(run) if isinstance(event, events.Warned)]
    assert warnings == ["unit 1 has raised ValueError: no such operation: it is done image by image"]


def test_a_device_that_has_failed_does_no_more_units(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    raise_at(0, RuntimeError("CUDA error: an illegal memory access"), monkeypatch)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        work(run)

    assert parts.done(run.path) == {0}
    assert list((run.path / claims.FOLDER / "units").iterdir()) == []


def test_no_memory_is_no_images_doing_and_counts_as_a_death(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    isolated = raise_at(0, MemoryError("full"), monkeypatch)
    with pytest.raises(MemoryError):
        work(run)

    assert isolated.units == []
    assert [path.name for path in (run.path / claims.FOLDER / "units").iterdir()] == ["000000.1"]


def test_the_next_unit_is_begun_before_the_present_one_is_written(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded by what happens, not by a clock: the first part is not written until the second unit is predicted."""
    is_ahead, write, row_of = threading.Event(), parts._write, units.row_of

    def wait(frame: object, to: Path) -> None:
        if "000000" in to.name:
            assert is_ahead.wait(600)
        write(frame, to)  # type: ignore[arg-type]

    def look(item: Item, *others: object) -> object:
        if item.index == UNIT:
            assert not parts.done(run.path)
            is_ahead.set()
        return row_of(item, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(parts, "_write", wait)
    monkeypatch.setattr(units, "row_of", look)
    assert work(run) == FINISHED
    assert len(digests(run)) == 3


def test_rows_that_are_read_beside_the_model_are_the_same(
    run: RunDirectory, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU."""
    assert work(run) == FINISHED
    other = make_run(tmp_path / "other", config_of(weights, tmp_path / "images", unit=UNIT))
    monkeypatch.setattr(unit_loop, "reads_beside", lambda device: True)
    threads = set[str]()
    row_of = units.row_of

    def note(*arguments: object) -> object:
        threads.add(threading.current_thread().name)
        return row_of(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(units, "row_of", note)
    assert work(other) == FINISHED
    assert threads == {"results_0"}
    assert digests(other) == digests(run)


def test_a_stop_gives_back_the_unit_that_was_begun_beside(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    requests, row_of = StopRequests(), units.row_of
    claimed: list[str] = []

    def ask(item: Item, *others: object) -> object:
        if item.index == 1:
            claimed.extend(sorted(path.name for path in (run.path / claims.FOLDER / "units").iterdir()))
            requests.ask(Stop.terminate, "SIGTERM")
        return row_of(item, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(units, "row_of", ask)
    assert work(run, requests) == STOPPED
    assert claimed == ["000000.1", "000001.1"]
    assert list((run.path / claims.FOLDER / "units").iterdir()) == []
    assert parts.done(run.path) == set()


def test_a_mount_that_is_not_there_makes_no_rows(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "images").rename(tmp_path / "away")
    with pytest.raises(OSError, match="images"):
        work(run)
    assert parts.done(run.path) == set()
    assert list((run.path / claims.FOLDER / "units").iterdir()) == []

    (tmp_path / "away").rename(tmp_path / "images")
    assert work(run) == FINISHED


def test_parts_that_are_all_there_need_no_model(run: RunDirectory, tmp_path: Path) -> None:
    assert work(run) == FINISHED
    before = digests(run), json.loads(run.result.read_text())["detections"]
    run.result.unlink()  # as if every rank had been killed then
    (tmp_path / "images").rename(tmp_path / "gone")

    assert work(run) == FINISHED
    assert (digests(run), json.loads(run.result.read_text())["detections"]) == before


def test_a_folder_without_a_manifest_is_named(run: RunDirectory) -> None:
    run.manifest.unlink()
    with pytest.raises(ConfigError, match="yoloscale predict"):
        work(run)


def test_weights_of_other_classes_do_not_go_on(run: RunDirectory) -> None:
    requests = StopRequests()
    requests.ask(Stop.terminate)
    work(run, requests)
    kept = (run.path / model.NAME).read_text()
    (run.path / model.NAME).write_text(kept.replace('"0": ', '"0": "another", "99": '))
    with pytest.raises(ConfigError, match="other classes"):
        work(run)


def test_a_machine_that_is_not_like_the_first_one_is_told(run: RunDirectory) -> None:
    requests = StopRequests()
    requests.ask(Stop.terminate)
    work(run, requests)
    first = model.read(run.path)
    assert first.machine["device"]
    model.write(run.path, replace(first, machine={**first.machine, "device": "another"}))
    assert work(run) == FINISHED
    (warning,) = [event.message for event in events.history(run) if isinstance(event, events.Warned)]
    assert warning.endswith(f"device: {first.machine['device']}, was another")
