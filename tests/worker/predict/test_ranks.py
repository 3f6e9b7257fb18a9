"""Ranks as processes of their own: the same bytes however many there are, and whatever becomes of them."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.worker.predict.prediction_runs import Rank, config_of, digests, make_run, start, write_images

from yoloscale.exit_codes import FAILED, FINISHED, STOPPED
from yoloscale.predictions import claims, parts
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

pytestmark = pytest.mark.long
IMAGES, UNIT = 120, 4
KILLING = (str(Path(__file__).with_name("killing_worker.py")),)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_images(tmp_path_factory.mktemp("data") / "images", IMAGES)
    (folder / "0050.png").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def expected(weights: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """The digests of the parts by a single rank."""
    run = make_run(tmp_path_factory.mktemp("alone") / "run", config_of(weights, images, unit=UNIT))
    with running(start(run, 1)) as ranks:
        assert [rank.wait() for rank in ranks] == [FINISHED]
    assert len(digests(run)) == IMAGES // UNIT
    return digests(run)


@pytest.fixture
def run(weights: Path, images: Path, tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path / "run", config_of(weights, images, unit=UNIT))


@contextmanager
def running(ranks: list[Rank]) -> Iterator[list[Rank]]:
    try:
        yield ranks
    finally:
        for rank in ranks:
            rank.end()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600  # bounds a hang
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_bytes_are_the_same_on_2_and_on_4_ranks(
    weights: Path, images: Path, tmp_path: Path, expected: dict[int, str]
) -> None:
    for count in (2, 4):
        config = config_of(weights, images, unit=UNIT)
        config.predict.loaders = count
        run = make_run(tmp_path / str(count), config)
        with running(start(run, count)) as ranks:
            assert [rank.wait() for rank in ranks] == [FINISHED] * count

        assert digests(run) == expected
        result = json.loads(run.result.read_text())
        assert (result["images"], result["unreadable"], result["failed"]) == (IMAGES, 1, 0)
        finished = [event for event in events.history(run) if isinstance(event, events.Finished)]
        assert len(finished) == 1
        assert not (run.path / claims.FOLDER).exists()


def test_a_rank_that_is_killed_is_no_loss(run: RunDirectory, expected: dict[int, str]) -> None:
    with running(start(run, 2)) as ranks:
        until(lambda: len(parts.done(run.path)) >= 3)
        ranks[0].send(signal.SIGKILL)
        assert ranks[1].wait() == FINISHED

    assert digests(run) == expected
    assert json.loads(run.result.read_text())["images"] == IMAGES


def test_all_are_killed_and_others_go_on(run: RunDirectory, expected: dict[int, str]) -> None:
    with running(start(run, 2)) as ranks:
        until(lambda: len(parts.done(run.path)) >= 2)
        for rank in ranks:
            rank.send(signal.SIGKILL)
            rank.wait()
    before = digests(run)
    assert len(before) < len(expected)

    with running(start(run, 1)) as ranks:
        assert ranks[0].wait() == FINISHED
    assert digests(run) == expected


def test_a_rank_that_is_asked_to_stop_ends_with_75_and_the_run_goes_on(
    run: RunDirectory, expected: dict[int, str]
) -> None:
    with running(start(run, 1)) as ranks:
        until(lambda: len(parts.done(run.path)) >= 2)
        ranks[0].send(signal.SIGTERM)
        assert ranks[0].wait() == STOPPED
    assert 2 <= len(digests(run)) < len(expected)
    assert not list((run.path / claims.FOLDER / "units").iterdir())

    with running(start(run, 1)) as ranks:
        assert ranks[0].wait() == FINISHED
    assert digests(run) == expected


def test_a_rank_that_comes_late_helps(run: RunDirectory, expected: dict[int, str]) -> None:
    with running(start(run, 1)) as ranks:
        until(lambda: len(parts.done(run.path)) >= 1)
        with running(start(run, 1)) as late:  # of another world of one, as from another terminal
            assert [rank.wait() for rank in (*ranks, *late)] == [FINISHED, FINISHED]
    assert digests(run) == expected


def test_an_image_that_never_ends_is_found_and_becomes_a_row(weights: Path, tmp_path: Path) -> None:
    few = write_images(tmp_path / "few", 4)
    (few / "0001-sleeper.png").write_bytes(b"")
    run = make_run(tmp_path / "run", config_of(weights, few, unit=3, timeout_s=20.0))
    codes = []
    for _ in range(3):
        with running(start(run, 1, KILLING)) as ranks:
            codes.append(ranks[0].wait())

    assert codes == [FAILED, FAILED, FINISHED]
    hangs = [event for event in events.history(run) if isinstance(event, events.Failed)]
    assert [event.hang for event in hangs] == [True]  # of an attempt, once
    assert "loading images" in hangs[0].error
    rows = parts.scan(run.path).collect()
    assert rows["status"].to_list() == ["ok", "failed", "ok", "ok", "ok"]
    assert rows["error"][1] == "took longer than 20 s"


def test_what_kills_its_process_becomes_a_row(weights: Path, images: Path, tmp_path: Path) -> None:
    few = write_images(tmp_path / "few", 6)
    (few / "0002-killer.png").write_bytes((few / "0001.png").read_bytes())
    run = make_run(tmp_path / "run", config_of(weights, few, unit=4))  # 0, 1, killer, 2; 3, 4, 5
    codes = []
    for _ in range(3):
        with running(start(run, 1, KILLING)) as ranks:
            codes.append(ranks[0].wait())

    assert codes == [-signal.SIGSEGV, -signal.SIGSEGV, FINISHED]
    rows = parts.scan(run.path).collect()
    assert rows["status"].to_list() == ["ok", "ok", "failed", "ok", "ok", "ok", "ok"]
    assert rows["error"][2] == "ended the process that was at it, by SIGSEGV"
    assert json.loads(run.result.read_text())["failed"] == 1
    (few / "0002-killer.png").write_bytes(b"")
    calm = make_run(tmp_path / "calm", config_of(weights, few, unit=4))
    with running(start(calm, 1)) as ranks:
        assert ranks[0].wait() == FINISHED
    others = parts.scan(calm.path).collect()
    values = ["index", "boxes", "scores", "classes"]
    assert rows.filter(rows["status"] == "ok")[values].equals(others.filter(others["status"] == "ok")[values])


def test_an_image_that_raises_becomes_a_row_in_one_go(weights: Path, tmp_path: Path) -> None:
    few = write_images(tmp_path / "few", 6)
    (few / "0002-thrower.png").write_bytes(b"")
    run = make_run(tmp_path / "run", config_of(weights, few, unit=4))
    with running(start(run, 1, KILLING)) as ranks:
        assert ranks[0].wait() == FINISHED

    rows = parts.scan(run.path).collect()
    assert rows["status"].to_list() == ["ok", "ok", "failed", "ok", "ok", "ok", "ok"]
    assert rows["error"][2] == "ValueError: an image that no model takes"
    assert [event for event in events.history(run) if isinstance(event, events.Failed)] == []
