"""Ranks share out the units without a word between them, and take over what one that is gone had."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from yoloscale.predictions import claims
from yoloscale.predictions.claims import Claimant, Claims

Make = Callable[..., Claims]


@pytest.fixture
def finished() -> set[int]:
    return set()


@pytest.fixture
def ranks(tmp_path: Path, finished: set[int]) -> Make:
    def make(rank: int = 0, world_size: int = 1, units: int = 4, timeout_s: float = 600.0) -> Claims:
        return Claims(tmp_path, "units", units, lambda: set(finished), Claimant(rank, world_size), timeout_s)

    return make


def owned_by(path: Path, *, pid: int, place: list[str] | None = None) -> None:
    """Make a claim another process's."""
    about = json.loads(path.read_bytes())
    path.write_text(json.dumps({**about, "pid": pid, **({} if place is None else {"place": place})}))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_own_share_first_then_that_of_others_from_the_end(ranks: Make, finished: set[int]) -> None:
    mine = ranks(rank=1, world_size=2, units=6)
    order = []
    while (claim := mine.next()) is not None:
        order.append(claim.unit)
        finished.add(claim.unit)
        claim.release()

    assert order == [1, 3, 5, 4, 2, 0]
    assert mine.are_over


def test_no_two_ranks_have_one_unit(ranks: Make, finished: set[int]) -> None:
    first, late = ranks(), ranks()  # both believe to be alone
    units = [claim.unit for claim in (first.next(), late.next(), first.next(), late.next()) if claim is not None]

    assert sorted(units) == [0, 1, 2, 3]
    assert first.next() is None
    assert not first.are_over


def test_a_unit_that_was_given_back_counts_as_never_claimed(ranks: Make) -> None:
    claim = ranks(units=1).next()
    assert claim is not None
    claim.release()

    again = ranks(units=1).next()
    assert again is not None
    assert (again.unit, again.deaths, again.is_isolated) == (0, 0, False)


def test_what_kills_twice_is_isolated(ranks: Make) -> None:
    deaths = []
    for _ in range(4):
        claim = ranks(units=1).next()
        assert claim is not None
        deaths.append((claim.deaths, claim.is_isolated))
        owned_by(claim.path, pid=dead_pid())

    assert deaths == [(0, False), (1, False), (2, True), (3, True)]


def test_what_was_left_comes_after_what_nobody_had(ranks: Make, finished: set[int]) -> None:
    claim = ranks(units=3).next()
    assert claim is not None
    assert claim.unit == 0
    owned_by(claim.path, pid=dead_pid())

    other = ranks(units=3)
    assert [claim.unit for claim in (other.next(), other.next(), other.next()) if claim is not None] == [1, 2, 0]


def test_a_claimant_elsewhere_is_gone_when_its_file_has_not_been_touched(ranks: Make) -> None:
    claim = ranks(units=1, timeout_s=100.0).next()
    assert claim is not None
    owned_by(claim.path, pid=os.getpid(), place=["elsewhere", "boot", "pid:[1]"])
    assert ranks(units=1, timeout_s=100.0).next() is None

    past = time.time() - 101.0
    os.utime(claim.path, (past, past))
    taken = ranks(units=1, timeout_s=100.0).next()
    assert taken is not None
    assert taken.deaths == 1


def test_a_beat_keeps_a_claim(ranks: Make) -> None:
    claim = ranks(units=1).next()
    assert claim is not None
    past = time.time() - 1000.0
    os.utime(claim.path, (past, past))
    claim.beat()
    assert claim.path.stat().st_mtime == past  # it has just been made
    claim.each_s = 0.0
    claim.beat()
    assert claim.path.stat().st_mtime > past

    claim.release()
    claim.beat()  # the others are through, and the folder is gone
    assert not claim.path.exists()


def test_a_claim_without_content_is_judged_by_its_age(ranks: Make, tmp_path: Path) -> None:
    claim = ranks(units=1).next()
    assert claim is not None
    claim.path.write_bytes(b"")
    assert ranks(units=1).next() is None
    past = time.time() - 1000.0
    os.utime(claim.path, (past, past))
    assert ranks(units=1).next() is not None


def test_a_full_disk_leaves_no_claim_without_an_owner(
    ranks: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            ranks().next()
    assert list((tmp_path / claims.FOLDER / "units").iterdir()) == []


def test_what_was_done_between_the_look_and_the_claim_is_not_done_again(tmp_path: Path) -> None:
    looks = iter([set[int](), {0}, {0}])
    mine = Claims(tmp_path, "units", 2, lambda: next(looks), Claimant(0, 1), 600.0)
    claim = mine.next()
    assert claim is not None
    assert claim.unit == 1
    assert [path.name for path in (tmp_path / claims.FOLDER / "units").iterdir()] == ["000001.1"]


def test_a_run_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Claims(tmp_path / "gone", "units", 1, set, Claimant(0, 1), 10.0).next()
    assert not (tmp_path / "gone").exists()


def test_at_the_end_nothing_of_it_is_left(ranks: Make, tmp_path: Path) -> None:
    ranks().next()
    claims.drop(tmp_path)
    assert not (tmp_path / claims.FOLDER).exists()
    claims.drop(tmp_path)
